import { AppError } from '../errors.ts';

const MOST = 2; // each may use half of the thread

let open = 0;

/** A download as `make` gives it, unless two are under way already; it is over when its body is. @throws AppError unavailable */
export async function startDownload(make: () => Promise<Response>): Promise<Response> {
  if (open >= MOST)
    throw new AppError(
      'unavailable',
      `${MOST} downloads are under way already. Try again when one of them is through.`,
    );
  open++;
  let isOver = false;
  const end = () => {
    if (!isOver) open--;
    isOver = true;
  };
  try {
    const made = await make();
    const reader = made.body?.getReader();
    if (!reader) {
      end();
      return made;
    }
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = await reader.read().catch(error => {
          end();
          throw error;
        });
        if (!next.done) return controller.enqueue(next.value);
        end();
        controller.close();
      },
      cancel(reason) {
        end();
        return reader.cancel(reason);
      },
    });
    return new Response(body, made);
  } catch (error) {
    end();
    throw error;
  }
}

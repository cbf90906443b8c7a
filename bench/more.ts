export async function more(_o: unknown): Promise<string> {
  return '';
}

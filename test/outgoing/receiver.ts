import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcp, type Socket } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { TestApp } from '../support/app.ts';

export interface Got {
  headers: Record<string, string>;
  body: string;
}

const closers: (() => void)[] = [];
/** Ends every receiver of this test file. */
export const closeReceivers = () => {
  for (const close of closers.splice(0)) close();
};

const listening = (server: Server | ReturnType<typeof createTcp>) =>
  new Promise<number>(resolve => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

export interface Receiver {
  url: string;
  got: Got[];
  /** How the next calls are answered. */
  answer(request: IncomingMessage, response: ServerResponse, got: Got): void;
}

/** A real HTTP server that keeps what it was sent and answers 200 until told otherwise. */
export async function receiver(): Promise<Receiver> {
  const self: Receiver = { url: '', got: [], answer: (_, response) => void response.end('ok') };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', chunk => chunks.push(chunk));
    request.on('end', () => {
      const got = { headers: request.headers as Record<string, string>, body: Buffer.concat(chunks).toString() };
      self.got.push(got);
      self.answer(request, response, got);
    });
  });
  self.url = `http://127.0.0.1:${await listening(server)}/hook`;
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return self;
}

/** A bare TCP server; `meet` gets each connection once something was sent on it. Its URL and how many connected. */
export async function rawReceiver(meet: (socket: Socket) => void) {
  const seen = { url: '', connections: 0 };
  const sockets = new Set<Socket>();
  const server = createTcp(socket => {
    seen.connections++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => meet(socket));
  });
  seen.url = `http://127.0.0.1:${await listening(server)}/hook`;
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return seen;
}

export interface Made {
  id: string;
  secret: string;
}

/** Makes a subscription. @throws with the answer when it is refused */
export async function subscribe(app: TestApp, url: string, eventNames?: string[]): Promise<Made> {
  const made = await app.api('POST', '/webhook-subscriptions', { url, ...(eventNames && { eventNames }) });
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  return made.body;
}

/** Checks a call by the official package, and gives its payload. @throws when the signature is not right */
export const verified = (secret: string, { headers, body }: Got) =>
  new Webhook(secret).verify(body, headers) as Record<string, unknown> & { eventName: string };

export const calls = async (app: TestApp, id: string, query = '') =>
  (await app.api('GET', `/webhook-subscriptions/${id}/calls${query}`)).body.data;
export const call = async (app: TestApp, id: string) => (await app.api('GET', `/webhook-calls/${id}`)).body;
export const subscription = async (app: TestApp, id: string) =>
  (await app.api('GET', `/webhook-subscriptions/${id}`)).body;

// A mail server that takes everything and keeps nothing, in a process of its own: prints its SMTP and HTTP ports; GET answers the counts.
const READY = '220 sink\r\n';
const ANSWERS: Record<string, string> = {
  EHLO: '250-sink\r\n250 8BITMIME\r\n',
  DATA: '354 go on\r\n',
  QUIT: '221 bye\r\n',
};
const FINE = '250 fine\r\n';
const END = '\r\n.\r\n';
let taken = 0;
let firstAt = 0;
let lastAt = 0;

interface Session {
  text: string;
  inData: boolean;
}

function take(): void {
  lastAt = Date.now();
  if (taken++ === 0) firstAt = lastAt;
}

/** Answers whatever is complete; the client waits for each answer. */
function heard(socket: Bun.Socket<Session>, chunk: Buffer): void {
  const { data } = socket;
  data.text += chunk.toString('latin1');
  for (;;) {
    const end = data.inData ? END : '\r\n';
    const at = data.text.indexOf(end);
    if (at < 0) return;
    const verb = data.text.slice(0, 4).toUpperCase();
    data.text = data.text.slice(at + end.length);
    if (data.inData) take();
    data.inData = !data.inData && verb === 'DATA';
    socket.write(end === END ? FINE : (ANSWERS[verb] ?? FINE));
    if (end !== END && verb === 'QUIT') socket.end();
  }
}

const smtp = Bun.listen<Session>({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open(socket) {
      socket.data = { text: '', inData: false };
      socket.write(READY);
    },
    data: heard,
  },
});
const http = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch: () => Response.json({ taken, firstAt, lastAt }),
});
console.log(JSON.stringify({ smtp: smtp.port, http: http.port }));

// What the machine gives: reads the body and answers.
const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    await request.arrayBuffer();
    return Response.json({ success: true });
  },
});
console.log(JSON.stringify({ port: server.port }));

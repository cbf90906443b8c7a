import styles from 'swagger-ui-dist/swagger-ui.css' with { type: 'file' };
import bundle from 'swagger-ui-dist/swagger-ui-bundle.js' with { type: 'file' };

// Embedded, because the plugin's own page loads its script and style sheet from a CDN.
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Inlet API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/swagger/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/swagger/swagger-ui-bundle.js"></script>
<script src="/swagger/start.js"></script>
</body>
</html>
`;
const DOCUMENT = '/swagger/json'; // made by the plugin
// The key outlives a reload and ends with its tab: Swagger UI's own persistAuthorization would leave it in the browser for good.
const START = `localStorage.removeItem('authorized');
const keep = given => sessionStorage.setItem('authorized', JSON.stringify(given));
const keepsKey = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authorize: authorize => given => {
          keep(given);
          return authorize(given);
        },
        logout: logout => names => {
          sessionStorage.removeItem('authorized');
          return logout(names);
        },
      },
    },
  },
});
window.ui = SwaggerUIBundle({
  url: '${DOCUMENT}',
  dom_id: '#swagger-ui',
  deepLinking: true,
  plugins: [keepsKey],
  onComplete() {
    const kept = sessionStorage.getItem('authorized');
    if (kept) window.ui.authActions.authorize(JSON.parse(kept));
  },
  validatorUrl: null,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: -1,
  docExpansion: 'list',
});
`;
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const FILES: Record<string, { type: string; body: () => string | Blob }> = {
  '/swagger': { type: 'text/html; charset=utf-8', body: () => PAGE },
  '/swagger/': { type: 'text/html; charset=utf-8', body: () => PAGE },
  '/swagger/start.js': { type: 'text/javascript; charset=utf-8', body: () => START },
  '/swagger/swagger-ui-bundle.js': { type: 'text/javascript; charset=utf-8', body: () => Bun.file(bundle) },
  '/swagger/swagger-ui.css': { type: 'text/css; charset=utf-8', body: () => Bun.file(styles) },
};

/** Every path of the documentation. */
export const swaggerPaths: ReadonlySet<string> = new Set([...Object.keys(FILES), DOCUMENT]);

/** A file of the documentation by its exact path, or null. */
export function serveSwaggerFile(path: string): Response | null {
  const file = Object.hasOwn(FILES, path) ? FILES[path] : undefined;
  if (!file) return null;
  return new Response(file.body(), { headers: { 'content-type': file.type, 'content-security-policy': CSP } });
}

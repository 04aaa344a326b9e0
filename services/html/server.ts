// A page for the eye: any path shows which instance answers and for whom.

import { headerOf, reply, serve } from './serve.ts'

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

serve('html', (request, response) => {
  const instance = headerOf(request, 'X-Tuc-Inst')
  const client = headerOf(request, 'X-Tuc-Fwd-For')
  reply(response, 200, 'text/html', page(instance, client))
})

function page(instance: string, client: string): string {
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>Hello, Tucano!</title>
</head>
<body>
  <h1>Hello, Tucano!</h1>
  <h2>Instance</h2>
  <p>${escapeHtml(instance)}</p>
  <h2>Client IP</h2>
  <p>${escapeHtml(client)}</p>
  <hr>
  <p><a href="https://en.wikipedia.org/wiki/Toucan">What is a tucano?</a></p>
</body>
</html>
`
}

/** The headers are the client's words where no balancer stands before the service. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (mark) => entities[mark] as string)
}

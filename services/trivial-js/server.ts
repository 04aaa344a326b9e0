// The smallest service: any path, any method, one line that says who forwarded the request and
// which instance answers.

import { headerOf, reply, serve } from './serve.ts'

serve('trivial-js', (request, response) => {
  const forwarded = headerOf(request, 'X-Tuc-Fwd-For')
  const instance = headerOf(request, 'X-Tuc-Inst')
  reply(response, 200, 'text/plain', `hello, world! (fwd by ${forwarded}) (inst ${instance})`)
})

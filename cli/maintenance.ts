// tucano maintenance: turns a service's requests away with a page of the user's, or with words.

import { resolve } from 'node:path'
import { TucanoError } from '#shared/errors.ts'
import { readText } from '#shared/read-config.io.ts'
import { isPage, PAGE_BYTES_MAX } from '#shared/traffic-control.ts'
import type { ServiceSummary } from './answers.ts'
import { servicePath } from './change-service.ts'
import type { Command } from './command.ts'

export const maintenance: Command = {
  name: 'maintenance',
  summary: 'Turn the requests of a service away',
  words: 'SERVICE',
  options: [
    {
      name: 'page',
      value: 'FILE',
      summary: `HTML that visitors get, at most ${PAGE_BYTES_MAX / 1024} KiB`,
    },
  ],
  details: `Every request is answered with status 503 and the page, or with problem details
where there is none, until: tucano resume SERVICE. The instances run on.
It outlives deploys and restarts.`,
  async run({ words: [service = ''], flags, screen, folder, client }) {
    const file = flags.text('page')
    const body = file === undefined ? {} : { page: await pageOf(resolve(folder, file)) }
    const path = servicePath(service, '/maintenance')
    const summary = await (await client()).send<ServiceSummary>('POST', path, body)
    if (screen.json) {
      screen.object(summary)
      return 0
    }
    const what = file === undefined ? '503 without a page' : `503 with ${file}`
    screen.line(`${service}: in maintenance, its requests are answered ${what}`)
    screen.line(`to end it: tucano resume ${service}`)
    return 0
  },
}

async function pageOf(file: string): Promise<string> {
  const text = await readText(file)
  if (isPage(text)) return text
  throw new TucanoError(
    'usage',
    `${file} is no page: it must be HTML, which begins with <, ` +
      `of at most ${PAGE_BYTES_MAX / 1024} KiB`,
  )
}

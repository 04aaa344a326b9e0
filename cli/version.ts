// tucano version: this program's version, and the controller's where one is known.

import { VERSION } from '#shared/daemon.io.ts'
import { TucanoError } from '#shared/errors.ts'
import type { VersionAnswer } from './answers.ts'
import type { Command, Context } from './command.ts'

export const version: Command = {
  name: 'version',
  summary: "This program's version and the controller's",
  words: '',
  options: [],
  async run(context) {
    const { screen } = context
    const controller = await controllerOf(context)
    if (screen.json) {
      screen.object({ cli: VERSION, controller: controller ?? null })
      return 0
    }
    screen.line(`tucano ${VERSION} (Node ${process.versions.node})`)
    if (controller !== undefined) screen.line(`controller ${controller.version}`)
    return 0
  },
}

/** undefined: nothing says where one is, which is no reason to fail here. */
async function controllerOf(context: Context): Promise<VersionAnswer | undefined> {
  try {
    return await (await context.client()).get<VersionAnswer>('/v1/version')
  } catch (error) {
    if (error instanceof TucanoError && error.code === 'usage') return undefined
    throw error
  }
}

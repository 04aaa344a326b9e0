// tucano uncordon: lets a cordoned worker have new instances again.

import type { Command } from './command.ts'
import { change } from './cordon.ts'

export const uncordon: Command = {
  name: 'uncordon',
  summary: 'Let a cordoned worker have new instances again',
  words: 'NODE',
  options: [],
  async run(context) {
    const view = await change(context, 'uncordon')
    if (context.screen.json) return 0
    const still = view.drained ? ` when its drain is over: tucano undrain ${view.name}` : ' again'
    context.screen.line(`${view.name}: takes instances${still}`)
    return 0
  },
}

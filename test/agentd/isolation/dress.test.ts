import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { dressed, environmentText, visiting } from '#agentd/isolation/dress.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

const owner = { uid: 990, gid: 980 }
const argv = ['node', 'server.ts', '--', ':']

describe('the words that start a program without rights', () => {
  test('S7: nothing that is run with rights is looked for in a path', () => {
    const view = { stage: '/d/stage', tmp: '/d/tmp', hidden: ['/d/i'], kept: ['/d/i/a'] }
    for (const words of [
      dressed({ owner, view, argv, fd: 3 }),
      dressed({ owner, view: undefined, argv, fd: 3 }),
      visiting({ owner, argv, fd: 4, pid: 77 }),
    ]) {
      const tools = words.filter((word) => /(unshare|setpriv|nsenter|env|sh)$/.test(word))
      expect(tools.every((tool) => tool.startsWith('/'))).toBe(true)
      expect(words.slice(-argv.length)).toEqual(argv)
      const rights = words.slice(words.indexOf('/usr/bin/setpriv') + 1).slice(0, 7)
      expect(rights).toEqual([
        '--reuid=990',
        '--regid=980',
        '--clear-groups',
        '--no-new-privs',
        '--inh-caps=-all',
        '--bounding-set=-all',
        '--',
      ])
    }
  })

  test(
    'S8: an environment arrives as it was, whatever is in it',
    forEachSeed(50, (random) => {
      const odd = ["'", '"', '\n', '$(id)', '`id`', '\\', ' ', ';', '€', '=', "'\\''"]
      const value = Array.from({ length: random.int(1, 12) }, () => random.pick(odd)).join('')
      const script = `eval "$1"; printf '%s' "$ODD"; [ "$tucano_env" = whole ]`
      const text = environmentText({ ODD: value })
      const out = execFileSync('/bin/sh', ['-c', script, 'sh', text], { encoding: 'utf8' })
      expect(out).toBe(value)
    }),
  )
})

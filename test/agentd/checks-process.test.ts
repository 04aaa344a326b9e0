// Checks of their own through the agent as a process, with a real program and a real command.

import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { InstanceStatus } from '#shared/wire.ts'
import type { WireCheck, WireChecks } from '#shared/wire-checks.ts'
import { agentFolder, playController, startAgent } from '#test/helpers/agent-process.ts'
import { freePorts } from '#test/helpers/free-ports.ts'

const is =
  (phase: string) =>
  ({ phase: now }: InstanceStatus) =>
    now === phase

/** Passes while the program's HOME has no file of this name. */
function unless(file: string): WireCheck {
  const argv = ['sh', '-c', `test ! -e "$HOME/${file}" || { echo "$PORT is ${file}"; exit 4; }`]
  const numbers = { interval_ms: 250, timeout_ms: 10_000, rise: 1, fall: 2 }
  return { way: { kind: 'command', argv }, ...numbers }
}

test('readiness and liveness by commands: unrouted by the one, restarted by the other', async () => {
  const controller = await playController()
  const [port = 0] = await freePorts(1)
  const folder = await agentFolder(controller.url, port)
  const first = startAgent(folder)
  const checks: WireChecks = {
    startup: { way: { kind: 'tcp' }, interval_ms: 100, timeout_ms: 2_000, rise: 1 },
    readiness: unless('unready'),
    liveness: unless('dead'),
  }
  controller.assign([controller.spec('a', { checks })])
  const begun = await controller.until('a', is('started'))
  const home = (file: string) => join(folder, 'data/instances/a/home', file)

  writeFileSync(home('unready'), '')
  const unready = await controller.until('a', is('unhealthy'))
  const words = `readiness check failed: sh: exit code 4: ${begun.port} is unready`
  expect(unready.failure?.error).toBe(words)
  expect(unready.pid).toBe(begun.pid)
  rmSync(home('unready'))
  expect(await controller.until('a', is('started'))).toMatchObject({ pid: begun.pid, restarts: 0 })

  // The next agent asks the program that it has adopted in the same way.
  first.child.kill('SIGKILL')
  await first.ended
  startAgent(folder)
  writeFileSync(home('dead'), '')
  const dead = await controller.until('a', is('backoff'))
  expect(dead.failure?.error).toBe(`liveness check failed: sh: exit code 4: ${begun.port} is dead`)
  rmSync(home('dead'))
  const again = await controller.until('a', is('started'))
  expect(again.restarts).toBe(1)
  expect(again.pid).not.toBe(begun.pid)
}, 120_000)

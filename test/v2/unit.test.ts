// The agent as the unit of docs/operations.md, under a real systemd: its programs have limits, run
// as a user without rights, and outlive a kill -9 of the agent, which systemd starts again.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { AssignedInstance } from '#shared/wire.ts'
import { playController, TOKEN } from '#test/helpers/agent-process.ts'
import { freePorts } from '#test/helpers/free-ports.ts'

const root = join(import.meta.dirname, '../..')
const UNIT = 'tucano-agentd.service'
const MIB = 1024 * 1024

test('A2/S7/F03/F33: limits, a user without rights, neighbours and adoption with control groups v2', async () => {
  const controller = await playController()
  await startUnit(controller.url)

  const harmful = (id: string, script: string, limits: AssignedInstance['limits']) => {
    const { image } = controller.spec(id)
    const run = ['/bin/sh', '-c', script]
    return patient(controller.spec(id, { limits, image: { ...image, run } }))
  }
  const hog = harmful('hog', HOG, { memory: 96 * MIB })
  const limits = { memory: 256 * MIB, cpu: 0.9, pids: 100 }
  const steady = patient(controller.spec('steady', { limits }))
  controller.assign([hog, steady])
  const killed = await controller.until('hog', ({ failure }) => failure !== undefined)
  expect(killed.failure?.error).toBe('killed: out of memory (limit 96MiB)')
  const started = await controller.until('steady', ({ phase }) => phase === 'started')
  expect(controller.reports.at(-1)?.isolation).toMatchObject({ mode: 'v2', user: 'tucano-run' })

  const group = join('/sys/fs/cgroup/system.slice', UNIT)
  const own = readdirSync(group).find((name) => name.startsWith('tucano-')) ?? ''
  const read = (file: string) =>
    readFileSync(join(group, own, 'instance-steady', file), 'utf8').trim()
  expect([read('memory.max'), read('cpu.max'), read('pids.max')]).toEqual([
    String(256 * MIB),
    '90000 100000',
    '100',
  ])
  expect(usersOf(read('cgroup.procs'))).toContain('tucano-run')

  const of = (id: string, file: string) =>
    readFileSync(join(group, own, `instance-${id}`, file), 'utf8')
  const bomb = harmful('bomb', BOMB, { pids: 50 })
  controller.assign([bomb, harmful('spinner', SPIN, { cpu: 0.1 }), steady])
  const starved = await controller.until('bomb', ({ failure }) => failure !== undefined)
  expect(starved.failure?.error).toMatch(/: out of processes and threads \(limit 50\)$/)
  await controller.until('spinner', ({ usage }) => (usage?.processes ?? 0) > 8)
  expect(of('spinner', 'cpu.stat')).toMatch(/nr_throttled [1-9]/)

  const session = controller.reports.at(-1)?.agent.session
  execFileSync('systemctl', ['kill', '--kill-whom=main', '--signal=KILL', UNIT])
  const again = await controller.until('steady', ({ phase, usage }) => {
    const isNew = controller.reports.at(-1)?.agent.session !== session
    return isNew && phase === 'started' && usage !== undefined
  })
  expect(again).toMatchObject({ pid: started.pid, restarts: 0 })
  expect(again.usage?.memory).toBeGreaterThan(0)
  expect(controller.reports.at(-1)?.isolation?.mode).toBe('v2')
  expect(read('memory.max')).toBe(String(256 * MIB))

  controller.assign([])
  for (const id of ['hog', 'bomb', 'spinner', 'steady']) await controller.gone(id)
  expect(readdirSync(join(group, own)).filter((name) => name.startsWith('instance-'))).toEqual([])
})

/** The machine is slow. */
function patient(spec: AssignedInstance): AssignedInstance {
  return { ...spec, health: { ...spec.health, start_timeout_ms: 600_000, timeout_ms: 30_000 } }
}

/** Perl, because a machine of Debian's smallest kind has it. */
const BOMB = 'bomb() { bomb | bomb & }; bomb & while :; do sleep 600 & done'
const SPIN = 'for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait'
const HOG = `exec perl -e 'my $all = "x" x 300_000_000; sleep 600'`

async function startUnit(controller: string): Promise<void> {
  const folder = mkdtempSync('/var/lib/tucano-unit-')
  chmodSync(folder, 0o755)
  onTestFinished(() => {
    execFileSync('systemctl', ['stop', UNIT])
  })
  execFileSync('useradd', ['--system', '--no-create-home', 'tucano-run'])
  mkdirSync(join(folder, 'data'))
  writeFileSync(join(folder, 'token'), TOKEN, { mode: 0o600 })
  const [port = 0] = await freePorts(1)
  const lines = [
    'name: w1',
    `controller: ${controller}`,
    'token: { file: token }',
    'host: 127.0.0.1',
    `port: ${port}`,
    'publish_interval: 1s',
    `data_folder: ${join(folder, 'data')}`,
  ]
  writeFileSync(join(folder, 'agent.yaml'), `${lines.join('\n')}\n`)
  const start = `ExecStart=${process.execPath} ${root}/agentd/main.ts --config ${folder}/agent.yaml`
  const unit = documentedUnit().replace(/^ExecStart=.*$/m, start)
  writeFileSync(join('/etc/systemd/system', UNIT), unit)
  execFileSync('systemctl', ['daemon-reload'])
  execFileSync('systemctl', ['start', UNIT])
}

/** As it stands in the docs. */
function documentedUnit(): string {
  const text = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  const unit = /`\/etc\/systemd\/system\/tucano-agentd\.service`:\n\n```ini\n([\s\S]+?)```/.exec(
    text,
  )?.[1]
  if (unit === undefined) throw new Error('the docs have no unit of the agent')
  return unit
}

function usersOf(pids: string): string[] {
  const list = pids.split('\n').join(',')
  return execFileSync('ps', ['-o', 'user:32=', '-p', list], { encoding: 'utf8' }).trim().split('\n')
}

// Control groups of this machine, with real processes in them. What is shown here of v1 is shown of
// v2 by `npm run test:v2`, in a machine that has it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { processesOf } from '#agentd/isolation/group.io.ts'
import { openGroups } from '#agentd/isolation/groups.io.ts'
import type { Place } from '#agentd/isolation/hierarchy.ts'
import { removeGroups } from '#test/helpers/groups.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'

const isRoot = process.getuid?.() === 0
let opened = 0

async function open(dataFolder = temporaryFolder()) {
  opened += 1
  const tag = `test-${process.pid}-${opened}`
  const groups = await openGroups({ dataFolder, tag, now: () => performance.now() })
  onTestFinished(() => removeGroups(dataFolder))
  const [place] = JSON.parse(readFileSync(join(dataFolder, 'groups.json'), 'utf8')) as Place[]
  return { groups, dataFolder, place: place as Place }
}

/** A shell that enters by these files and then runs the script. */
function enter(entries: readonly string[], script: string) {
  const joins = entries.map((file) => `echo $$ >${file}`).join(' && ')
  return spawn('/bin/sh', ['-c', `${joins} && { ${script}\n}`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

describe.skipIf(!isRoot)('the control groups of this machine', () => {
  test('A2: there are some, and the reason says where', async () => {
    const { groups } = await open()
    expect(groups.mode).toMatch(/^v[12]$/)
    expect(groups.why).toMatch(/^control groups v[12]/)
  })

  test('F30: whoever hides in a new session without an environment is killed with its group', async () => {
    const { groups, place } = await open()
    const entries = await groups.make('instance-a', {})
    const hides = 'for i in 1 2 3 4 5; do setsid env -i /bin/sleep 600 & done; echo up; wait'
    const shell = enter(entries, hides)
    await once(shell.stdout, 'data')
    expect((await processesOf(place, 'instance-a')).length).toBeGreaterThanOrEqual(6)
    expect(await groups.busy()).toEqual(['instance-a'])
    await groups.empty('instance-a')
    expect(await processesOf(place, 'instance-a')).toEqual([])
    expect(await groups.busy()).toEqual([])
    await groups.remove('instance-a')
    expect(existsSync(join(place.folders.pids, 'instance-a'))).toBe(false)
  })

  test('F30: groups that a program makes in its own go with it, and what runs in them', async () => {
    const { groups, place } = await open()
    const entries = await groups.make('instance-a', {})
    const inner = entries.map((file) => join(dirname(file), 'one', 'two'))
    const moves = inner.map((group) => `mkdir -p ${group} && echo $$ >${group}/cgroup.procs`)
    const shell = enter(entries, `${moves.join(' && ')} && echo up; exec sleep 600`)
    await once(shell.stdout, 'data')
    expect(await groups.busy()).toEqual(['instance-a'])
    expect(await groups.processes('instance-a')).toEqual([shell.pid])
    await groups.remove('instance-a')
    expect(existsSync(join(place.folders.pids, 'instance-a'))).toBe(false)
  })

  test('F33: who takes more memory than it may is killed, and it is known why', async () => {
    const { groups } = await open()
    const limit = 32 * 1024 * 1024
    const entries = await groups.make('instance-a', { memory: limit, pids: 64 })
    const hog = enter(entries, 'exec perl -e \'my $all = "x" x 200_000_000; sleep 600\'')
    const [code, signal] = await once(hog, 'exit')
    expect([code, signal]).toEqual([null, 'SIGKILL'])
    expect(await groups.shortages('instance-a')).toEqual([{ of: 'memory', limit }])
  })

  test('F32: who forks without end is held at its limit, and it is known why', async () => {
    const { groups } = await open()
    const entries = await groups.make('instance-a', { pids: 8 })
    const script = 'i=0; while [ $i -lt 50 ]; do sleep 600 & i=$((i+1)); done; wait'
    const bomb = enter(entries, script)
    await once(bomb, 'exit')
    expect(await groups.shortages('instance-a')).toEqual([{ of: 'pids', limit: 8 }])
    expect((await groups.usage('instance-a'))?.processes).toBeLessThanOrEqual(8)
    await groups.empty('instance-a')
  })

  test('F34: who spins gets no more CPU than it may', async () => {
    const { groups } = await open()
    const entries = await groups.make('instance-a', { cpu: 0.5 })
    const startedAt = performance.now()
    // Half a second of CPU takes twice as long.
    const burn = "exec perl -e '1 while (times)[0] + (times)[1] < 0.5'"
    await once(enter(entries, burn), 'exit')
    expect(performance.now() - startedAt).toBeGreaterThan(850)
  })

  test('M25: usage is that of all in the group', async () => {
    const { groups } = await open()
    const entries = await groups.make('instance-a', {})
    const two = enter(
      entries,
      "setsid env -i /bin/sleep 600 & perl -e '$| = 1; while (1) { my $was = (times)[0]; 1 while (times)[0] < $was + 0.1; print 1 }'",
    )
    await once(two.stdout, 'data')
    const first = await groups.usage('instance-a')
    await once(two.stdout, 'data')
    const used = await groups.usage('instance-a')
    expect(first?.cpu).toBe(0)
    expect(used?.cpu).toBeGreaterThan(0)
    expect(used?.memory).toBeGreaterThan(0)
    expect(used?.processes).toBe(3)
    expect(await groups.usage('instance-b')).toBeUndefined()
    await groups.empty('instance-a')
  })

  test('F03: the next agent knows the groups in which something runs, and removes the others', async () => {
    const first = await open()
    const entries = await first.groups.make('instance-a', {})
    await first.groups.make('instance-b', {})
    const sleeper = enter(entries, 'echo up; exec sleep 600')
    await once(sleeper.stdout, 'data')
    // Another tag is another place, as after a start from elsewhere.
    const second = await open(first.dataFolder)
    expect(await second.groups.busy()).toEqual(['instance-a'])
    expect(existsSync(join(first.place.folders.pids, 'instance-b'))).toBe(false)
    expect(await second.groups.usage('instance-a')).toMatchObject({ processes: 1 })
    const ended = once(sleeper, 'exit')
    await second.groups.empty('instance-a')
    expect(await ended).toEqual([null, 'SIGKILL'])
  })

  test('leaves nothing in the tree when nothing runs', async () => {
    const { groups, place } = await open()
    await groups.make('instance-a', { memory: 1_000_000 })
    groups[Symbol.dispose]()
    const left = Object.values(place.folders).filter((folder) => existsSync(folder))
    expect(left).toEqual([])
  })
})

// cordon, drain, undrain and rebalance against a fake controller.

import { expect, test } from 'vitest'
import type { Rebalance } from '#shared/model.ts'
import { aNode } from '#test/fakes/ctld.ts'
import { createTestCli } from '#test/helpers/cli.ts'

const stuck = {
  instance: 'i-2',
  service: 'db',
  why: 'it is sticky: it stays unless it is forced',
  isStuck: true,
}

const aRebalance = (over: Partial<Rebalance> = {}): Rebalance => ({
  id: 'r-1',
  by: 'user',
  state: 'running',
  why: '1 of 1: api from w1 to w2',
  moves: [{ instance: 'i-1', service: 'api', from: 'w1', to: 'w2', why: '2 on w1, 0 on w2' }],
  done: 0,
  createdAt: 1_000,
  movingSince: 1_000,
  nextAt: 1_000,
  ...over,
})

test('cordon and uncordon say what becomes of what is there', async () => {
  const cli = await createTestCli()
  expect((await cli.tucano('cordon', 'w1')).out).toBe('w1: gets no new instance; 1 instance stay\n')
  expect((await cli.tucano('uncordon', 'w1')).out).toBe('w1: takes instances again\n')
  expect(cli.ctld.commands).toEqual([
    { kind: 'cordon', node: 'w1' },
    { kind: 'uncordon', node: 'w1' },
  ])
})

test('drain waits until the node is empty; undrain and unfreeze are done at once', async () => {
  const cli = await createTestCli()
  const running = cli.begin(['drain', 'w1'])
  await expect.poll(() => cli.ctld.commands.length).toBe(1)
  cli.ctld.holds = []
  cli.ctld.addEvent('instance changed')
  expect(await running.done).toMatchObject({ code: 0, out: 'w1: drained and empty\n' })
  expect(cli.ctld.commands).toEqual([
    { kind: 'drain', node: 'w1', deadlineMs: 600_000, force: false },
  ])
  expect((await cli.tucano('undrain', 'w1')).out).toBe('w1: takes instances again\n')
  expect((await cli.tucano('unfreeze')).out).toContain('still frozen: w2')
  expect((await cli.tucano('drain', 'w9')).err).toContain('next: tucano nodes')
})

test('drain says at its deadline what holds it up, and what stays for good at once', async () => {
  const cli = await createTestCli()
  const why = 'no place elsewhere: w2: has 1 already (max_per_node 1)'
  cli.ctld.holds = [{ instance: 'i-1', service: 'api', why, isStuck: false }, stuck]
  const late = await cli.tucano('drain', 'w1', '--deadline', '30ms')
  expect(late.code).toBe(1)
  expect(late.err).toContain('w1 is not empty at the deadline; the drain goes on')
  expect(late.err).toContain(`  api: ${why}`)

  cli.ctld.holds = [stuck, { ...stuck, instance: 'i-3' }]
  const held = await cli.tucano('drain', 'w1')
  expect(held.code).toBe(1)
  expect(held.err).toContain('w1 is empty but for what stays:\n  db ×2: it is sticky')
  expect(held.err).toContain('tucano drain w1 --force')
})

test('drain: --force and --no-wait; a wrong deadline is refused', async () => {
  const cli = await createTestCli()
  for (const flag of ['--no-wait', '-d']) {
    const { out, code } = await cli.tucano('drain', 'w1', '--force', flag, '--deadline', '1m')
    expect({ out, code }).toEqual({ out: 'w1: drains; 1 instance still to leave\n', code: 0 })
  }
  expect(cli.ctld.commands[0]).toEqual({
    kind: 'drain',
    node: 'w1',
    deadlineMs: 60_000,
    force: true,
  })
  expect((await cli.tucano('drain', 'w1', '--deadline', 'soon')).code).toBe(2)
})

test('nodes and show tell of a cordon, a drain and what holds it up', async () => {
  const drain = { since: 40_000, until: 160_000, force: true, isLate: false }
  const cli = await createTestCli({
    nodes: [aNode({ drained: true, drain }), aNode({ name: 'w2', cordoned: true })],
  })
  const { out } = await cli.tucano('nodes')
  expect(out).toMatch(/^w1 +drains +/m)
  expect(out).toMatch(/^w2 +cordoned +/m)
  const shown = (await cli.tucano('show', 'w1')).out
  expect(shown).toMatch(/drain +since 60 s, by force, deadline in 60 s/)
  expect(shown).toMatch(/still there +api: it waits for its turn/)
})

test('rebalance shows its plan first; without a terminal it needs --yes', async () => {
  const cli = await createTestCli()
  const { code, out, err } = await cli.tucano('rebalance')
  expect(code).toBe(2)
  expect(out).toMatch(/api +i-1 +w1 +w2 +2 on w1, 0 on w2\n/)
  expect(out).toContain('db stays where it is: it is sticky')
  expect(err).toContain('nothing was moved: repeat it with --yes')
  expect(await cli.tucano('rebalance', '--dry-run')).toMatchObject({ code: 0, err: '' })
  const no = await cli.begin(['rebalance'], { isTTY: true, input: 'n\n' }).done
  expect(no.code).toBe(1)
  expect(no.err).toContain('move 1 instance, one at a time? [y/N]')
  expect(cli.ctld.commands).toEqual([])
})

test('rebalance follows each move to its end, and says why it ended', async () => {
  const ends = [
    { over: { state: 'done', done: 1, why: '1 of 1 moved', finishedAt: 13_000 }, code: 0 },
    { over: { state: 'failed', why: 'api: the new instance on w2 failed: exit 1' }, code: 1 },
  ] as const
  for (const { over, code } of ends) {
    const cli = await createTestCli()
    const running = cli.begin(['rebalance'], { isTTY: true, input: 'yes\n' })
    await running.said(/\[y\/N\]/)
    cli.ctld.step({ rebalance: aRebalance() })
    await running.said(/1 of 1: api from w1 to w2/)
    expect(cli.ctld.commands).toEqual([{ kind: 'rebalance', instances: ['i-1'] }])
    cli.ctld.step({ rebalance: aRebalance(over) })
    cli.ctld.addEvent('rebalance')
    const told = await running.done
    expect(told.code).toBe(code)
    expect(told.out + told.err).toContain(code === 0 ? '1 of 1 moved in 12 s' : over.why)
  }
})

test('rebalance: one that is under way is followed; --stop ends it; nothing to do is said', async () => {
  const cli = await createTestCli({ rebalance: aRebalance() })
  const running = cli.begin(['rebalance'])
  await running.said(/is under way; to end it/)
  running.interrupt()
  expect((await running.done).code).toBe(130)
  const stopped = aRebalance({ state: 'stopped', why: 'stopped after 0 of 1' })
  cli.ctld.step({ rebalance: stopped })
  expect((await cli.tucano('rebalance', '--stop')).out).toBe('rebalance: stopped after 0 of 1\n')
  cli.ctld.plan = { moves: [], staying: [], isCut: false }
  expect((await cli.tucano('rebalance')).out).toBe('nothing would be better elsewhere\n')
})

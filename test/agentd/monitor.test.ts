import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { describe, expect, onTestFinished, test } from 'vitest'
import { statusesOf } from '#agentd/monitor/report.ts'
import { createSensors } from '#agentd/monitor/sensors.io.ts'
import { createUsage, parseStat } from '#agentd/monitor/usage.io.ts'
import { newProcess } from '#agentd/runner/process.ts'
import { reportSchema, WIRE_BODY_BYTES_MAX } from '#shared/wire.ts'
import { spec } from '#test/agentd/agent-world.ts'

describe('the sensors', () => {
  test('give what a report may carry', async () => {
    const sensors = createSensors(tmpdir())
    const first = await sensors.sample()
    expect(reportSchema.shape.metrics.parse(first)).toEqual(first)
    expect(first).toMatchObject({ net_rx_per_s: 0, net_tx_per_s: 0 })
    expect(first.memory_used).toBeGreaterThan(0)
    expect(first.memory_used).toBeLessThan(first.memory_total)
    expect(first.disk_used).toBeLessThanOrEqual(first.disk_total)
    expect(reportSchema.shape.metrics.parse(await sensors.sample())).toBeDefined()
  })

  test('are read once for callers at the same time', async () => {
    const sensors = createSensors(tmpdir())
    const [one, two] = await Promise.all([sensors.sample(), sensors.sample()])
    expect(one).toBe(two)
  })

  test('reject when the data folder is gone', async () => {
    await expect(createSensors('/no/such/folder').sample()).rejects.toThrow('ENOENT')
  })
})

describe('usage', () => {
  /** Two processes in one group, which say when they are ready. */
  async function group(script: string): Promise<number> {
    const child = spawn('sh', ['-c', script], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const pid = child.pid ?? 0
    onTestFinished(() => {
      try {
        process.kill(-pid, 'SIGKILL')
      } catch {
        // It ended by itself.
      }
    })
    await once(child.stdout, 'data')
    return pid
  }

  test('counts a whole group: processes, memory, CPU between two looks', async () => {
    const pid = await group('(while :; do :; done) & echo ready; wait')
    let now = 0
    const usage = createUsage(() => now)
    const first = usage.usageOfGroup(pid)
    expect(first).toMatchObject({ cpu: 0, processes: 2 })
    expect(first?.memory).toBeGreaterThan(100_000)

    // As long as it takes until the busy child has had 50 ms of CPU; the clock stays ours.
    let seconds = 0
    while (seconds < 0.05) {
      now += 1_000
      seconds += usage.usageOfGroup(pid)?.cpu ?? 0
    }
    expect(seconds).toBeLessThan(5)
  })

  test('is read once for all instances of one report', async () => {
    const pid = await group('echo ready; exec sleep 60')
    let now = 0
    const usage = createUsage(() => now)
    expect(usage.usageOfGroup(pid)?.processes).toBe(1)
    process.kill(-pid, 'SIGKILL')
    now += 100
    expect(usage.usageOfGroup(pid)?.processes).toBe(1)
  })

  test('is undefined for a group that nothing lives in, and zombies do not count', () => {
    expect(createUsage(() => 0).usageOfGroup(2_000_000_000)).toBeUndefined()
    const dead = '7 (a) b) Z 1 7 7 0 -1 4 0 0 0 0 9 9 0 0 20 0 1 0 5 0 0'
    expect(parseStat(dead)).toBeUndefined()
    expect(parseStat('')).toBeUndefined()
  })

  test('reads a stat line whose name has brackets and spaces', () => {
    const stat = '7 (a) R 1 (b) S 1 42 42 0 -1 4 0 0 0 0 1 2 3 4 20 0 1 0 5 4096 10 18446'
    expect(parseStat(stat)).toEqual({ pgid: 42, ticks: 10, pages: 10 })
  })
})

describe('a report', () => {
  const failed = (count: number, letter: string) =>
    Array.from({ length: count }, (_, index) => {
      const fresh = newProcess(spec(`i-${String(index).padStart(4, '0')}`))
      const log_tail = Array.from({ length: 20 }, () => letter.repeat(2_000))
      const failure = { error: letter.repeat(2_000), exit_code: 1, log_tail }
      return { ...fresh, page: { ...fresh.page, ended: 'crashed' as const, failure } }
    })

  test('stays small enough to be taken when everything on the node has failed', () => {
    const statuses = statusesOf(failed(2_000, 'ü'), new Map())
    expect(statuses.map((status) => reportSchema.shape.instances.element.parse(status))).toEqual(
      statuses,
    )
    expect(Buffer.byteLength(JSON.stringify(statuses))).toBeLessThan(0.9 * WIRE_BODY_BYTES_MAX)
    expect(statuses.at(0)?.failure?.log_tail).toHaveLength(20)
    expect(statuses.at(-1)?.failure).toEqual({ error: 'ü'.repeat(200), exit_code: 1 })
  })

  test('tells a few failures in full', () => {
    const statuses = statusesOf(failed(10, 'x'), new Map())
    expect(statuses.every(({ failure }) => failure?.log_tail?.length === 20)).toBe(true)
  })
})

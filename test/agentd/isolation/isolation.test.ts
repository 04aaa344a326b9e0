import { describe, expect, test } from 'vitest'
import { INSTANCE_PIDS, withDefaults, withShortages } from '#agentd/isolation/isolation.ts'
import { exitFailure } from '#agentd/runner/process-end.ts'

const MIB = 1024 * 1024
const memory = { of: 'memory' as const, limit: 64 * MIB }
const pids = { of: 'pids' as const, limit: 16 }

describe('a failure for want of something', () => {
  test('F33: one that the kernel killed was killed for it', () => {
    const end = { code: undefined, signal: 'SIGKILL', shortages: [memory] }
    expect(exitFailure(end, '')).toEqual({
      error: 'killed: out of memory (limit 64MiB)',
      exit_signal: 'SIGKILL',
    })
    const unknown = { code: undefined, signal: undefined, shortages: [memory] }
    expect(exitFailure(unknown, '').error).toBe('killed: out of memory (limit 64MiB)')
  })

  test('F32: one that ended by itself says so, and what it lacked', () => {
    const end = { code: 1, signal: undefined, shortages: [pids] }
    expect(exitFailure(end, 'before it was healthy').error).toBe(
      'exited with code 1 before it was healthy: out of processes and threads (limit 16)',
    )
  })

  test('without a limit it was the node that was full', () => {
    const shortages = [{ of: 'memory' as const, limit: undefined }]
    expect(
      withShortages({ error: 'killed by SIGKILL', exit_signal: 'SIGKILL' }, shortages),
    ).toEqual({ error: 'killed: out of memory (its node is full)', exit_signal: 'SIGKILL' })
  })

  test('is told once, however often it is learnt', () => {
    const once = withShortages({ error: 'health check failed' }, [memory, pids])
    expect(withShortages(once, [memory, pids])).toEqual(once)
    expect(withShortages({ error: 'health check failed' }, [])).toEqual({
      error: 'health check failed',
    })
  })
})

test('F32: an instance has a limit of processes though nobody asked, and none of the others', () => {
  expect(withDefaults()).toEqual({ pids: INSTANCE_PIDS })
  expect(withDefaults({ pids: 5, cpu: 1 })).toEqual({ pids: 5, cpu: 1 })
})

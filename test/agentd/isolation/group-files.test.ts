import { describe, expect, test } from 'vitest'
import {
  limitFiles,
  limitsOf,
  pidsOf,
  shortagesOf,
  usageOf,
} from '#agentd/isolation/group-files.ts'
import type { InstanceLimits } from '#shared/wire.ts'

const MIB = 1024 * 1024
const all = { memory: 64 * MIB, cpu: 0.5, pids: 32, open_files: 100 }
const written = (version: 'v1' | 'v2', limits: InstanceLimits) =>
  limitFiles(version, limits).map(({ controller, name, text }) => `${controller}/${name} ${text}`)

describe('limits in files', () => {
  test('v2: half a program is not left, and swap is no way out', () => {
    expect(written('v2', all)).toEqual([
      'memory/memory.oom.group 1',
      `memory/memory.max ${64 * MIB}`,
      'memory/memory.swap.max 0',
      'cpu/cpu.max 50000 100000',
      'pids/pids.max 32',
    ])
  })

  test('v1: memory before memory and swap together, which is never less', () => {
    expect(written('v1', all)).toEqual([
      `memory/memory.limit_in_bytes ${64 * MIB}`,
      `memory/memory.memsw.limit_in_bytes ${64 * MIB}`,
      'cpu/cpu.cfs_period_us 100000',
      'cpu/cpu.cfs_quota_us 50000',
      'pids/pids.max 32',
    ])
  })

  test.each(['v1', 'v2'] as const)('%s: what is not said is not written', (version) => {
    expect(written(version, {}).filter((line) => !line.includes('oom.group'))).toEqual([])
  })

  test('the least CPU is what the kernel takes', () => {
    expect(written('v2', { cpu: 0.001 })).toContain('cpu/cpu.max 1000 100000')
    expect(written('v1', { cpu: 12.5 })).toContain('cpu/cpu.cfs_quota_us 1250000')
  })

  test('only what some kernels lack may be missing', () => {
    const optional = [...limitFiles('v1', all), ...limitFiles('v2', all)]
      .filter(({ isOptional }) => isOptional)
      .map(({ name }) => name)
    expect(optional).toEqual(['memory.memsw.limit_in_bytes', 'memory.oom.group', 'memory.swap.max'])
  })
})

describe('what the files of a group say', () => {
  test('F33: it ran out of memory when the kernel killed in it, whatever its limit', () => {
    const v1 = 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n'
    const v2 = 'low 0\nhigh 0\nmax 83\noom 1\noom_kill 1\noom_group_kill 1\n'
    for (const memory of [v1, v2]) {
      expect(shortagesOf({ memory, pids: 'max 0\n' }, all)).toEqual([
        { of: 'memory', limit: 64 * MIB },
      ])
      expect(shortagesOf({ memory, pids: '' }, {})).toEqual([{ of: 'memory', limit: undefined }])
    }
    expect(shortagesOf({ memory: 'max 83\noom 0\noom_kill 0\n', pids: '' }, all)).toEqual([])
  })

  test('F32: it ran out of processes when a fork was refused', () => {
    expect(shortagesOf({ memory: '', pids: 'max 5\n' }, all)).toEqual([{ of: 'pids', limit: 32 }])
    expect(shortagesOf({ memory: '', pids: 'max 0\n' }, all)).toEqual([])
  })

  test('a limit that is none is told as none', () => {
    expect(limitsOf({ memory: 'max\n', pids: 'max\n' })).toEqual({})
    expect(limitsOf({ memory: '9223372036854771712\n', pids: '' })).toEqual({})
    expect(limitsOf({ memory: '1048576\n', pids: '16\n' })).toEqual({ memory: MIB, pids: 16 })
  })

  test('M25: memory is without the cache that nobody uses; CPU is in microseconds', () => {
    const stat = 'cache 70\ninactive_file 30\ntotal_inactive_file 40\n'
    expect(usageOf('v1', { cpu: '5000999\n', memory: '100\n', stat })).toEqual({
      cpuUs: 5_000,
      memory: 60,
    })
    const cpu = 'usage_usec 77\nuser_usec 70\n'
    expect(usageOf('v2', { cpu, memory: '100\n', stat })).toEqual({ cpuUs: 77, memory: 70 })
  })

  test('pids stand one in a line', () => {
    expect(pidsOf('')).toEqual([])
    expect(pidsOf('12\n345\n')).toEqual([12, 345])
  })
})

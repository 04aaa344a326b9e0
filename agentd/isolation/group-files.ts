// Which files of a control group get which text, and what its files say (cgroups(7), and
// Documentation/admin-guide/cgroup-v1 and cgroup-v2 of the kernel). Pure.

import type { Shortage } from '#agentd/ports.ts'
import type { InstanceLimits } from '#shared/wire.ts'

export const controllers = ['memory', 'cpu', 'cpuacct', 'pids', 'freezer'] as const
export type Controller = (typeof controllers)[number]
export type Version = 'v1' | 'v2'

/** `isOptional`: not every kernel has it. */
export type GroupFile = {
  controller: Controller
  name: string
  text: string
  isOptional?: boolean
}

const CPU_PERIOD_US = 100_000
/** The least that the kernel takes. */
const CPU_QUOTA_US_MIN = 1_000

/** In the order in which they are to be written. */
export function limitFiles(version: Version, limits: InstanceLimits): GroupFile[] {
  return version === 'v2' ? limitFilesV2(limits) : limitFilesV1(limits)
}

function limitFilesV2({ memory, cpu, pids }: InstanceLimits): GroupFile[] {
  const files: GroupFile[] = []
  // Half of a program that ran out of memory is of no use to anybody.
  files.push({ controller: 'memory', name: 'memory.oom.group', text: '1', isOptional: true })
  if (memory !== undefined) {
    files.push({ controller: 'memory', name: 'memory.max', text: String(memory) })
    // What it may not have it must not get from the disk either, at the cost of everybody.
    files.push({ controller: 'memory', name: 'memory.swap.max', text: '0', isOptional: true })
  }
  if (cpu !== undefined) {
    files.push({ controller: 'cpu', name: 'cpu.max', text: `${quotaUs(cpu)} ${CPU_PERIOD_US}` })
  }
  if (pids !== undefined) files.push({ controller: 'pids', name: 'pids.max', text: String(pids) })
  return files
}

function limitFilesV1({ memory, cpu, pids }: InstanceLimits): GroupFile[] {
  const files: GroupFile[] = []
  if (memory !== undefined) {
    const text = String(memory)
    files.push({ controller: 'memory', name: 'memory.limit_in_bytes', text })
    // Memory and swap together: never below the former, hence after it.
    const name = 'memory.memsw.limit_in_bytes'
    files.push({ controller: 'memory', name, text, isOptional: true })
  }
  if (cpu !== undefined) {
    files.push({ controller: 'cpu', name: 'cpu.cfs_period_us', text: String(CPU_PERIOD_US) })
    files.push({ controller: 'cpu', name: 'cpu.cfs_quota_us', text: String(quotaUs(cpu)) })
  }
  if (pids !== undefined) files.push({ controller: 'pids', name: 'pids.max', text: String(pids) })
  return files
}

function quotaUs(cores: number): number {
  return Math.max(CPU_QUOTA_US_MIN, Math.round(cores * CPU_PERIOD_US))
}

/** Files that tell whether a group ran out of something. */
export const eventFiles: Record<Version, { memory: string; pids: string }> = {
  v1: { memory: 'memory.oom_control', pids: 'pids.events' },
  v2: { memory: 'memory.events', pids: 'pids.events' },
}

/** Of the texts of those two files, and of what the group was allowed. */
export function shortagesOf(
  texts: { memory: string; pids: string },
  { memory, pids }: InstanceLimits,
): Shortage[] {
  const found: Shortage[] = []
  if (counterOf(texts.memory, 'oom_kill') > 0) found.push({ of: 'memory', limit: memory })
  if (counterOf(texts.pids, 'max') > 0 && pids !== undefined) {
    found.push({ of: 'pids', limit: pids })
  }
  return found
}

/** The limits that stand in a group's files, of a group that a former agent made. */
export function limitsOf(texts: { memory: string; pids: string }): InstanceLimits {
  const [memory, pids] = [Number(texts.memory.trim() || 'max'), Number(texts.pids.trim() || 'max')]
  return {
    // v1 writes the largest number of pages there is for no limit.
    ...(memory > 0 && memory < Number.MAX_SAFE_INTEGER ? { memory } : {}),
    ...(pids > 0 ? { pids } : {}),
  }
}

export const limitTexts: Record<Version, { memory: string; pids: string }> = {
  v1: { memory: 'memory.limit_in_bytes', pids: 'pids.max' },
  v2: { memory: 'memory.max', pids: 'pids.max' },
}

/** CPU time in microseconds and bytes of memory that are not mere cache. */
export function usageOf(
  version: Version,
  texts: { cpu: string; memory: string; stat: string },
): { cpuUs: number; memory: number } {
  const cache = counterOf(texts.stat, version === 'v2' ? 'inactive_file' : 'total_inactive_file')
  const cpuUs =
    version === 'v2' ? counterOf(texts.cpu, 'usage_usec') : Math.floor(Number(texts.cpu) / 1_000)
  return { cpuUs, memory: Math.max(0, Number(texts.memory) - cache) }
}

export const usageFiles: Record<Version, { cpu: string; memory: string; stat: string }> = {
  v1: { cpu: 'cpuacct.usage', memory: 'memory.usage_in_bytes', stat: 'memory.stat' },
  v2: { cpu: 'cpu.stat', memory: 'memory.current', stat: 'memory.stat' },
}

/** Of a file of lines `name number`; 0: it has no such line. */
function counterOf(text: string, name: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1) ?? 0)
}

/** Pids in a file `cgroup.procs`. */
export function pidsOf(text: string): number[] {
  return text.split('\n').filter(Boolean).map(Number)
}

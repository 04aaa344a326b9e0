// What keeps programs from each other, in words: what an instance may take by default, and how a
// program that ended for want of something is spoken of (F32, F33). Pure.

import type { Shortage } from '#agentd/ports.ts'
import type { FailureDetail } from '#shared/model.ts'
import { sizeText } from '#shared/size.ts'
import type { InstanceLimits } from '#shared/wire.ts'

/**
 * Tasks (processes and threads) of an instance whose service does not say: room for a large Java
 * program, and 1/32 of the fewest pids that a Linux machine has. Nothing else is limited unasked:
 * how much memory or CPU a program needs nobody but its owner knows.
 */
export const INSTANCE_PIDS = 1_024
/** A build may run a compiler on every core. */
export const BUILD_PIDS = 4_096

export function withDefaults(limits: InstanceLimits = {}): InstanceLimits {
  return { pids: INSTANCE_PIDS, ...limits }
}

/**
 * The failure with what the program had run out of, which is most often its cause; once, though it
 * is learnt at its end and again when nothing is left of it.
 */
export function withShortages(
  failure: FailureDetail,
  shortages: readonly Shortage[],
): FailureDetail {
  if (shortages.length === 0) return failure
  const words = shortages.map(shortageWords).join(', ')
  if (failure.error.endsWith(words)) return failure
  // SIGKILL is what the kernel sends for want of memory; without a word of how it ended it is too.
  const isKilled = failure.exit_signal === 'SIGKILL' || isOfUnknownEnd(failure)
  const error = isKilled ? `killed: ${words}` : `${failure.error}: ${words}`
  return { ...failure, error }
}

function isOfUnknownEnd({ exit_code, exit_signal, error }: FailureDetail): boolean {
  return exit_code === undefined && exit_signal === undefined && error.startsWith('ended')
}

function shortageWords({ of, limit }: Shortage): string {
  if (of === 'pids') return `out of processes and threads (limit ${limit})`
  return `out of memory (${limit === undefined ? 'its node is full' : `limit ${sizeText(limit)}`})`
}

// A thread that factors what the pool hands it, one number at a time. It looks at the cancel flag
// between steps of some milliseconds, because it reads no message while it computes.

import { parentPort } from 'node:worker_threads'
import { advance, type Progress } from './factorise.ts'

/** Shared with the pool; not 0: the answer is no longer wanted. */
export type Task = { progress: Progress; cancel: Int32Array }
/** null: cancelled. */
export type Outcome = bigint[] | null

const STEP_BLOCKS = 32_768

parentPort?.on('message', (task: Task) => parentPort?.postMessage(compute(task)))

function compute({ progress, cancel }: Task): Outcome {
  while (Atomics.load(cancel, 0) === 0) {
    if (advance(progress, STEP_BLOCKS)) return progress.factors
  }
  return null
}

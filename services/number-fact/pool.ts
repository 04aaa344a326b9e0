// A fixed number of threads and a bounded queue before them. A task leaves its place as soon as
// nobody wants it; a thread that dies is replaced and its task fails alone.

import { Worker } from 'node:worker_threads'
import type { Progress } from './factorise.ts'
import type { Outcome, Task } from './worker.ts'

export type Pool = {
  /** False: every thread is busy and the queue is full, the task is not taken. */
  hasRoom(): boolean
  /** The factors; rejects with the signal's reason once it is aborted. Ask `hasRoom` before. */
  run(progress: Progress, signal: AbortSignal): Promise<bigint[]>
}

type Job = {
  progress: Progress
  cancel: Int32Array
  signal: AbortSignal
  resolve: (factors: bigint[]) => void
  reject: (error: unknown) => void
}

type Thread = { worker: Worker; job: Job | undefined }

export function createPool(threadCount: number, queueMax: number): Pool {
  const threads = Array.from({ length: threadCount }, () => startThread(next))
  const queue: Job[] = []

  function next(thread: Thread): void {
    const job = queue.shift()
    thread.job = job
    if (job === undefined) return
    thread.worker.postMessage({ progress: job.progress, cancel: job.cancel } satisfies Task)
  }

  function give(job: Job): void {
    queue.push(job)
    const idle = threads.find((thread) => thread.job === undefined)
    if (idle !== undefined) next(idle)
  }

  /** A queued job goes at once; a running one frees its thread at its next step. */
  function abandon(job: Job): void {
    Atomics.store(job.cancel, 0, 1)
    const place = queue.indexOf(job)
    if (place >= 0) queue.splice(place, 1)
    job.reject(job.signal.reason)
  }

  return {
    hasRoom: () => queue.length < queueMax || threads.some((thread) => thread.job === undefined),
    run: (progress, signal) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted()
        const cancel = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
        const job: Job = { progress, cancel, signal, resolve, reject }
        signal.addEventListener('abort', () => abandon(job), { once: true })
        give(job)
      }),
  }
}

function startThread(next: (thread: Thread) => void): Thread {
  const thread: Thread = { worker: startWorker(), job: undefined }
  attach()
  return thread

  function attach(): void {
    thread.worker.on('message', (factors: Outcome) => {
      if (factors !== null) thread.job?.resolve(factors)
      next(thread)
    })
    // An uncaught error or too little memory: the thread has ended, the service goes on. Without a
    // task it is the program itself that cannot run; a new thread would end the same way.
    thread.worker.on('error', (error) => {
      if (thread.job === undefined) throw error
      thread.job.reject(error)
      thread.worker = startWorker()
      attach()
      next(thread)
    })
    // A thread does not keep the process alive: what waits for a factorisation is a connection,
    // and that does. Only now, because a listener for messages makes the thread count again.
    thread.worker.unref()
  }
}

function startWorker(): Worker {
  return new Worker(new URL('./worker.ts', import.meta.url))
}

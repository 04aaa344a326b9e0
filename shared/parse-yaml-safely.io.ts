// Reads YAML in a worker thread with a deadline and a memory limit, so that no text, however it
// is made, holds up the process (reliability: bad inputs).

import { Worker } from 'node:worker_threads'
import { DOCUMENT_BYTES_MAX, invalid, type SourceDocument } from './document.ts'
import { TucanoError } from './errors.ts'
import { tooLarge } from './yaml-document.ts'
import type { YamlAnswer, YamlRequest } from './yaml-worker.io.ts'

export const YAML_DEADLINE_MS = 1_000
/** The thread itself must have started by then, on a machine however busy. */
const START_DEADLINE_MS = 30_000
const HEAP_MB_MAX = 64

/** What `readYaml` gives; throws `invalid_config`, also when the deadline passes. */
export async function parseYamlSafely(
  text: string,
  file: string,
  deadlineMs = YAML_DEADLINE_MS,
): Promise<SourceDocument> {
  const size = Buffer.byteLength(text)
  if (size > DOCUMENT_BYTES_MAX) throw tooLarge(file, size)
  const worker = new Worker(new URL('./yaml-worker.io.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
  })
  try {
    return await read(worker, { text, file }, deadlineMs)
  } finally {
    await worker.terminate()
  }
}

function read(worker: Worker, request: YamlRequest, deadlineMs: number): Promise<SourceDocument> {
  return new Promise((resolve, reject) => {
    const giveUp = (what: string, cause?: unknown) =>
      reject(invalid([{ where: request.file, what }], cause))
    let timer = setTimeout(
      () => reject(new TucanoError('timeout', 'the YAML reader did not start')),
      START_DEADLINE_MS,
    )
    worker.on('message', (answer: YamlAnswer) => {
      clearTimeout(timer)
      if (answer.kind === 'ready') {
        timer = setTimeout(() => giveUp(`not read within ${deadlineMs} ms`), deadlineMs)
        worker.postMessage(request)
      } else if (answer.kind === 'document') {
        resolve(answer.document)
      } else {
        const { message, problems } = answer
        reject(new TucanoError('invalid_config', message, { problems }))
      }
    })
    worker.once('error', (error) => {
      clearTimeout(timer)
      if (isExhaustion(error)) giveUp('needs too much memory to be read', error)
      else reject(error)
    })
  })
}

const isExhaustion = (error: Error) =>
  error instanceof RangeError ||
  (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'

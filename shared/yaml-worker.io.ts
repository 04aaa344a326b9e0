// Runs in a worker thread: reads one YAML text and posts what came out. It says `ready` first,
// so that the deadline counts the reading and not the start of a thread on a busy machine.

import { parentPort } from 'node:worker_threads'
import type { SourceDocument } from './document.ts'
import { type Problem, TucanoError } from './errors.ts'
import { readYaml } from './yaml-document.ts'

export type YamlRequest = { text: string; file: string }

export type YamlAnswer =
  | { kind: 'ready' }
  | { kind: 'document'; document: SourceDocument }
  | { kind: 'invalid'; message: string; problems: readonly Problem[] }

const post = (answer: YamlAnswer) => parentPort?.postMessage(answer)

parentPort?.once('message', ({ text, file }: YamlRequest) => {
  try {
    post({ kind: 'document', document: readYaml(text, file) })
  } catch (error) {
    if (!(error instanceof TucanoError)) throw error
    post({ kind: 'invalid', message: error.message, problems: error.problems })
  }
})
post({ kind: 'ready' })

// A port whose program takes no connection: its thread stands still and its queue is full, so the
// kernel answers nobody. No address of another network is so reliably silent.

import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import { onTestFinished } from 'vitest'

const PROGRAM = `
  const { parentPort } = require('node:worker_threads')
  const server = require('node:net').createServer()
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
  })`
/** The kernel keeps one more than the backlog says. */
const QUEUE_LENGTH = 2

/** It is free again after the test. */
export async function fullPort(): Promise<number> {
  const worker = new Worker(PROGRAM, { eval: true })
  onTestFinished(() => void worker.terminate())
  const port = await new Promise<number>((resolve) => worker.once('message', resolve))
  for (let at = 0; at < QUEUE_LENGTH; at += 1) {
    const filler = connect(port, '127.0.0.1')
    filler.on('error', () => {
      // It is reset when the thread ends.
    })
    onTestFinished(() => void filler.destroy())
    await new Promise((resolve) => filler.once('connect', resolve))
  }
  return port
}

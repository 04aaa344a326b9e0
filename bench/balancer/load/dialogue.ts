// What a client of each kind says and what it must hear.

import { createAnswerReader, createEchoReader, createHandshakeReader } from './answer-reader.ts'
import type { Dialogue } from './client.ts'
import type { Job } from './job.ts'
import * as messages from './messages.ts'

export function dialogueOf({ kind, bytes }: Pick<Job, 'kind' | 'bytes'>): Dialogue {
  if (kind === 'socket') {
    const text = messages.bodyOf(bytes)
    const echo = messages.serverFrame(text)
    return {
      opening: {
        bytes: messages.handshake(),
        createReader: () => createHandshakeReader(messages.expectedAccept),
      },
      request: messages.clientFrame(text),
      createReader: () => createEchoReader(echo),
      isLast: false,
    }
  }
  const isPost = kind === 'post' || kind === 'post-chunked'
  const body = messages.bodyOf(isPost ? messages.SMALL_BYTES : bytes)
  return {
    request: isPost
      ? messages.postOf({ chunked: kind === 'post-chunked' })
      : messages.getOf(bytes, { close: kind === 'new' }),
    createReader: () => createAnswerReader(body),
    isLast: kind === 'new',
  }
}

// The end of a daemon's door: what is under way may finish, and nobody can hold it open.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { closeDoor, createDoor } from '#shared/http-door.io.ts'
import { type Route, route } from '#shared/http-route.ts'

const quiet = () => {}
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }

async function openDoor(...routes: Route[]) {
  const app = createDoor({ routes, tokens: { admin: 'a token' }, log, isStarted: () => true })
  await app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => closeDoor(app, 1))
  const { port } = app.server.address() as AddressInfo
  return { app, port }
}

test('F36: a connection on which nothing was asked does not hold up the stop', async () => {
  const { app, port } = await openDoor()
  const accepted = once(app.server, 'connection')
  const client = connect(port, '127.0.0.1').resume()
  await accepted
  const gone = once(client, 'close')
  await closeDoor(app, 10)
  await gone
})

test('F36: a request under way is answered before the door is closed', async () => {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
  const { promise: answer, resolve } = Promise.withResolvers<{ status: number; body: string }>()
  const slow = route({
    method: 'GET',
    path: '/slow',
    summary: 'Answers when the test wants it to',
    access: 'anyone',
    answers: { 200: { description: 'It is done' } },
    handle() {
      ask()
      return answer
    },
  })
  const { app, port } = await openDoor(slow)
  const answered = fetch(`http://127.0.0.1:${port}/slow`)
  await asked
  const closed = closeDoor(app, 60_000)
  resolve({ status: 200, body: 'done' })
  expect((await answered).status).toBe(200)
  await closed
})

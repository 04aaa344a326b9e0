import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { ask, createRig, deadPort, listening, type Rig, route, target, textOf } from './rig.ts'

/** A program that answers when told to, and says when a request has come. */
async function patientProgram(rig: Rig, body: string) {
  let come: () => void = () => {}
  let finish: () => void = () => {}
  const arrived = new Promise<void>((resolve) => {
    come = resolve
  })
  const { port } = await rig.program((_incoming, response) => {
    finish = () => void response.end(body)
    come()
  })
  return { port, arrived, finish: () => finish() }
}

test('Q22: an instance that leaves the table finishes its request, then it is drained', async () => {
  await using rig = await createRig()
  const old = await patientProgram(rig, 'old')
  const fresh = await rig.program((_incoming, response) => response.end('new'))
  rig.publish(route([target('old', old.port)]))
  const slow = rig.ask('/')
  await old.arrived
  rig.publish(route([target('new', fresh.port)]))
  expect((await rig.ask('/')).body).toBe('new')
  expect(rig.observed).toEqual([])
  old.finish()
  expect(await slow).toMatchObject({ status: 200, body: 'old' })
  expect(await rig.saw('emptied')).toEqual({ kind: 'emptied', instance: 'old' })
})

test('Q03: two hundred tables under load cost no request', async () => {
  await using rig = await createRig()
  const programs = await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      rig.program(async (incoming, response) => {
        response.end(name + (await textOf(incoming)))
      }),
    ),
  )
  const targets = programs.map(({ port }, at) => target(`i${at}`, port))
  rig.publish(route(targets))
  const agent = new Agent({ keepAlive: true })
  let [answered, isOver] = [0, false]
  const bad: unknown[] = []
  const client = async (method: string) => {
    while (!isOver) {
      const sent = request({ port: rig.port, host: '127.0.0.1', path: '/svc/api/', method, agent })
      sent.end(method === 'POST' ? 'body' : undefined)
      const [answer] = await once(sent, 'response')
      const body = await textOf(answer)
      if (answer.statusCode !== 200 || (method === 'POST') !== body.endsWith('body')) bad.push(body)
      answered += 1
    }
  }
  const clients = Array.from({ length: 8 }, (_, at) => client(at % 2 === 0 ? 'GET' : 'POST'))
  for (let version = 0; version < 200; version += 1) {
    rig.publish(route(targets.filter((_, at) => at !== version % 3)))
    const soFar = answered
    while (answered === soFar) await new Promise((resolve) => setImmediate(resolve))
  }
  isOver = true
  await Promise.all(clients)
  agent.destroy()
  expect(bad).toEqual([])
  expect(answered).toBeGreaterThanOrEqual(200)
})

test('F04: an instance that dies under load costs no GET', async () => {
  await using rig = await createRig()
  const programs = await Promise.all(
    ['a', 'b'].map((name) =>
      rig.program((_incoming, response) => void setImmediate(() => response.end(name))),
    ),
  )
  rig.publish(route(programs.map(({ port }, at) => target(`i${at}`, port))))
  const statuses = new Map<number, number>()
  let isOver = false
  const client = async () => {
    while (!isOver) {
      const { status } = await rig.ask('/')
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const clients = Array.from({ length: 8 }, client)
  while ((statuses.get(200) ?? 0) < 50) await new Promise((resolve) => setImmediate(resolve))
  programs[0]?.server.close()
  programs[0]?.server.closeAllConnections()
  await rig.saw('unreachable')
  const soFar = statuses.get(200) ?? 0
  while ((statuses.get(200) ?? 0) < soFar + 50)
    await new Promise((resolve) => setImmediate(resolve))
  isOver = true
  await Promise.all(clients)
  expect([...statuses.keys()]).toEqual([200])
})

test('a client that leaves takes all its pipelined requests along', async () => {
  await using rig = await createRig()
  const urls: string[] = []
  const arrived = Promise.withResolvers<void>()
  const program = await rig.program(({ url = '' }) => {
    urls.push(url)
    arrived.resolve()
  })
  rig.publish(route([target('i1', program.port)]))
  const socket = connect(rig.port, '127.0.0.1')
  const requests = ['/1', '/2', '/3'].map((url) => `GET ${url} HTTP/1.1\r\nHost: api\r\n\r\n`)
  socket.write(requests.join(''))
  await arrived.promise
  socket.destroy()
  rig.publish(route([]))
  await rig.saw('emptied')
  await rig.plane.close(60_000)
  // They go one after the other, and the first had no answer.
  expect(urls).toEqual(['/1'])
})

test('T06: the shares of the requests follow the weights', async () => {
  await using rig = await createRig()
  const program = await rig.program((incoming, response) => {
    response.end(incoming.headers['x-tuc-inst'])
  })
  rig.publish(route([target('busy', program.port, 2), target('idle', program.port, 10)]))
  const bodies: string[] = []
  for (let at = 0; at < 24; at += 1) bodies.push((await rig.ask('/')).body)
  expect(bodies.filter((instance) => instance === 'busy')).toHaveLength(4)
})

test('Q09: a dedicated port leads to its service, opens and closes with the table', async () => {
  await using rig = await createRig()
  const program = await rig.program((incoming, response) => response.end(incoming.url))
  const publicPort = await deadPort()
  rig.publish(route([target('i1', program.port)], { publicPort }))
  const answer = await untilOpen(publicPort)
  expect(answer).toMatchObject({ status: 200, body: '/x' })
  rig.publish(route([target('i1', program.port)]))
  await expect(ask(publicPort, '/x')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  expect((await rig.ask('/x')).status).toBe(200)
})

test('a dedicated port that is taken is reported; the others go on', async () => {
  await using rig = await createRig()
  const program = await rig.program((_incoming, response) => response.end('ok'))
  const taken = createServer()
  const publicPort = await listening(taken)
  rig.publish(route([target('i1', program.port)], { publicPort }))
  expect(await rig.saw('listener_failed')).toMatchObject({ port: publicPort })
  expect((await rig.ask('/')).status).toBe(200)
  taken.close()
})

test('F36: closing lets the requests under way finish, on connections that then end', async () => {
  await using rig = await createRig()
  const program = await patientProgram(rig, 'whole')
  rig.publish(route([target('i1', program.port)]))
  const agent = new Agent({ keepAlive: true })
  const sent = request({ port: rig.port, host: '127.0.0.1', path: '/svc/api/', agent }).end()
  await program.arrived
  const closed = rig.plane.close(10_000)
  // For a moment a client that is just sending is still answered, on a connection that ends.
  const late = await ask(rig.port, '/', { host: 'nobody' })
  expect(late.headers.connection).toBe('close')
  program.finish()
  const [answer] = await once(sent, 'response')
  expect(answer.headers.connection).toBe('close')
  expect(await textOf(answer)).toBe('whole')
  await closed
  await expect(rig.ask('/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('F36: closing does not wait for ever', async () => {
  await using rig = await createRig()
  const program = await patientProgram(rig, 'never')
  rig.publish(route([target('i1', program.port)]))
  const lost = expect(rig.ask('/')).rejects.toMatchObject({ code: 'ECONNRESET' })
  await program.arrived
  await rig.plane.close(50)
  await lost
})

test('a port that another program has is told, and the others serve', async () => {
  await using rig = await createRig()
  const taken = await rig.program((_request, response) => response.end('not ours'))
  await rig.publish(route([], { publicPort: taken.port }))
  expect(await rig.saw('listener_failed')).toMatchObject({ port: taken.port })
  expect((await rig.ask('/')).status).toBe(503)
})

/** The port opens some turns after the table is published, and nobody announces it. */
async function untilOpen(port: number): ReturnType<typeof ask> {
  for (;;) {
    try {
      return await ask(port, '/x', { host: 'whoever' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error
    }
  }
}

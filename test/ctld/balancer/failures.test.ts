import { expect, test } from 'vitest'
import { createRig, deadPort, type Rig, route, target } from './rig.ts'

const lost = 'POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody'

test('F38: when no instance can be reached the answer is 503 with Retry-After, at once', async () => {
  await using rig = await createRig()
  rig.publish(route([target('i1', await deadPort()), target('i2', await deadPort())]))
  for (const method of ['GET', 'POST', 'GET']) {
    const answer = await rig.ask('/', { method, ...(method === 'POST' ? { body: 'x' } : {}) })
    expect(answer.status).toBe(503)
    expect(answer.headers['retry-after']).toBe('1')
  }
})

test('Q09: a GET whose connection breaks before the answer goes to another instance', async () => {
  await using rig = await createRig()
  const breaking = await breakingProgram(rig)
  const program = await rig.program((_request, response) => response.end('whole'))
  rig.publish(route([target('breaking', breaking.port), target('live', program.port)]))
  for (let round = 0; round < 6; round += 1) {
    expect(await rig.ask('/')).toMatchObject({ status: 200, body: 'whole' })
  }
  expect(breaking.requests()).toBe(3)
})

test('Q09: a POST that an instance may have seen is not sent again: 502', async () => {
  await using rig = await createRig()
  const breaking = await breakingProgram(rig)
  rig.publish(route([target('i1', breaking.port), target('i2', breaking.port)]))
  expect(await rig.ask('/', { method: 'POST', body: 'once' })).toMatchObject({ status: 502 })
  expect(await rig.raw(lost)).toMatch(/^HTTP\/1\.1 502 /)
  expect(breaking.requests()).toBe(2)
  expect(rig.observed.map(({ kind }) => kind)).toContain('unreachable')
})

test('Q09: a GET with a body counts as one that is not repeated', async () => {
  await using rig = await createRig()
  const breaking = await breakingProgram(rig)
  rig.publish(route([target('i1', breaking.port), target('i2', breaking.port)]))
  const answer = await rig.ask('/', { body: 'x', headers: { 'content-length': '1' } })
  expect(answer.status).toBe(502)
  expect(breaking.requests()).toBe(1)
})

test('Q09: three tries of one request, each on another instance', async () => {
  await using rig = await createRig()
  const breaking = await breakingProgram(rig)
  rig.publish(route(['i1', 'i2', 'i3', 'i4', 'i5'].map((id) => target(id, breaking.port))))
  expect((await rig.ask('/')).status).toBe(502)
  expect(breaking.requests()).toBe(3)
})

test('nothing is repeated once the client has seen a byte; it sees that the rest is missing', async () => {
  await using rig = await createRig()
  let seen = 0
  const breaking = await rig.tcp((socket) => {
    socket.once('data', () => {
      seen += 1
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', () => socket.destroy())
    })
  })
  rig.publish(route([target('i1', breaking), target('i2', breaking)]))
  const received = await rig.raw('GET / HTTP/1.1\r\nHost: api\r\n\r\n')
  expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n.*half$/s)
  expect(seen).toBe(1)
})

test('Q21: a 503 of the program reaches the client as it is, after one hit', async () => {
  await using rig = await createRig()
  let hits = 0
  const program = await rig.program((_request, response) => {
    hits += 1
    response.writeHead(503, { 'Retry-After': '7' }).end('busy')
  })
  rig.publish(route([target('i1', program.port), target('i2', program.port)]))
  const answer = await rig.ask('/')
  expect(answer).toMatchObject({ status: 503, body: 'busy' })
  expect(answer.headers['retry-after']).toBe('7')
  expect(hits).toBe(1)
})

test('Q09: an instance that does not answer in time is 504, and is not asked twice', async () => {
  await using rig = await createRig()
  let hits = 0
  const program = await rig.program(() => {
    hits += 1
  })
  rig.publish(route([target('i1', program.port), target('i2', program.port)], { responseMs: 100 }))
  expect((await rig.ask('/')).status).toBe(504)
  expect(hits).toBe(1)
})

test('an answer that has begun may pause for longer than the time to the first byte', async () => {
  await using rig = await createRig()
  const program = await rig.program((_request, response) => {
    response.write('slow ')
    setTimeout(() => response.end('but whole'), 300)
  })
  rig.publish(route([target('i1', program.port)], { responseMs: 100 }))
  expect((await rig.ask('/')).body).toBe('slow but whole')
})

test.each([
  ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx'],
  [
    'a broken coding',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gibberish\r\nContent-Length: 1\r\n\r\nx',
  ],
  ['an unasked change of protocol', 'HTTP/1.1 101 No\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
])('an instance that answers with %s is 502', async (_name, text) => {
  await using rig = await createRig()
  const port = await rig.tcp((socket) => socket.once('data', () => socket.write(text)))
  rig.publish(route([target('i1', port)]))
  expect((await rig.ask('/')).status).toBe(502)
})

test('a connection that the program closed while it was idle costs no request', async () => {
  await using rig = await createRig()
  const program = await rig.program((_request, response) => response.end('ok'))
  program.server.keepAliveTimeout = 1
  rig.publish(route([target('i1', program.port)]))
  for (let round = 0; round < 20; round += 1) {
    const answer = await rig.ask('/', { method: 'POST', body: 'x' })
    expect(answer.status).toBe(200)
    program.server.closeIdleConnections()
  }
})

test('a client that leaves ends its request at the instance', async () => {
  await using rig = await createRig()
  let ended: () => void = () => {}
  const left = new Promise<void>((resolve) => {
    ended = resolve
  })
  const program = await rig.program((_request, response) => {
    response.once('close', ended)
    response.write('first')
  })
  rig.publish(route([target('i1', program.port)]))
  const controller = new AbortController()
  const answer = await fetch(`http://127.0.0.1:${rig.port}/svc/api/`, { signal: controller.signal })
  expect(answer.status).toBe(200)
  controller.abort()
  await left
  rig.publish(route([]))
  await rig.saw('emptied')
})

test('Q09: an instance on a machine that does not answer holds a request up only for connectMs', async () => {
  await using rig = await createRig()
  const program = await rig.program((_request, response) => response.end('live'))
  const silent = { ...target('silent', 80), host: '192.0.2.1' }
  rig.publish(route([silent, target('live', program.port)], { connectMs: 100 }))
  for (let round = 0; round < 3; round += 1) {
    expect(await rig.ask('/', { method: 'POST', body: 'x' })).toMatchObject({ body: 'live' })
  }
  expect(await rig.saw('unreachable')).toMatchObject({ instance: 'silent' })
})

/** Breaks off each connection at its first request. */
async function breakingProgram(rig: Rig): Promise<{ port: number; requests(): number }> {
  let count = 0
  const port = await rig.tcp((socket) => {
    socket.once('data', () => {
      count += 1
      socket.destroy()
    })
  })
  return { port, requests: () => count }
}

// Programs that send a body where none may be: what lies in it must not reach another client.

import { expect, test } from 'vitest'
import { createClient, get } from '#test/ctld/balancer/loop/client.ts'
import { answer, createOrigin, ok } from '#test/ctld/balancer/loop/origin.ts'
import { standingRig, turns } from '#test/ctld/balancer/loop/world.ts'
import { route, target } from '#test/ctld/balancer/rig.ts'

test('a body behind the answer to HEAD is no answer to the next client', async () => {
  const { rig } = await standingRig()
  const origin = await createOrigin(rig, (seen) => {
    if (seen.method === 'HEAD') seen.reply(answer(answer('forged')))
    else ok(seen)
  })
  await rig.publish(route([target('api.1.a', origin.port)]))
  const clients = Array.from({ length: 6 }, () => createClient(rig.port))
  const [first] = clients as [ReturnType<typeof createClient>]
  for (let at = 0; at < 40; at += 1) for (const one of clients) await one.ask(get('/svc/prove'))
  const asked = clients.map((client, at) => {
    const isHead = client === first
    client.send(isHead ? get('/svc/head').replace('GET', 'HEAD') : get(`/svc/${at}`))
    return client.answer(isHead ? 'HEAD' : 'GET')
  })
  const bodies = (await Promise.all(asked)).map(({ body }) => body)
  await turns()
  expect(bodies).toEqual(['', '/svc/1', '/svc/2', '/svc/3', '/svc/4', '/svc/5'])
})

test.each([204, 304])('a body behind a %s is no answer to the next client', async (status) => {
  const { rig } = await standingRig()
  const origin = await createOrigin(rig, (seen) => {
    if (seen.path !== '/svc/none') ok(seen)
    else seen.reply(`HTTP/1.1 ${status} None\r\n\r\n${answer('forged')}`)
  })
  await rig.publish(route([target('api.1.a', origin.port)]))
  const clients = Array.from({ length: 6 }, () => createClient(rig.port))
  for (let at = 0; at < 40; at += 1) for (const one of clients) await one.ask(get('/svc/prove'))
  const asked = clients.map((client, at) => {
    client.send(get(at === 0 ? '/svc/none' : `/svc/${at}`))
    return client.answer()
  })
  const bodies = (await Promise.all(asked)).map(({ body }) => body)
  await turns()
  expect(bodies).toEqual(['', '/svc/1', '/svc/2', '/svc/3', '/svc/4', '/svc/5'])
})

// Every table and reading command against a fake controller.

import { expect, test } from 'vitest'
import { aDeployment, aNode, anInstance, aService } from '#test/fakes/ctld.ts'
import { createTestCli } from '#test/helpers/cli.ts'

const id = (end: string) => `01938f2a-0000-7000-8000-0000${end}`
const instances = [
  anInstance({ id: id('3f2a9c01') }),
  anInstance({
    id: id('77b1d402'),
    node: 'w2',
    state: 'failed_to_start',
    healthy: false,
    why: 'it exited with code 1',
    failure: { error: 'exited with code 1', last_probe: 'refused', log_tail: ['no such file'] },
  }),
]

test('ps shows live instances with the ends of their ids, aligned and without colour', async () => {
  const { tucano } = await createTestCli({ instances })
  const { code, out, err } = await tucano('ps')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toBe(
    [
      'INSTANCE  SERVICE  NODE   PORT  STATE    RESTARTS  SINCE',
      '3f2a9c01  api      w1    20001  healthy         0   98 s',
      '',
    ].join('\n'),
  )
})

test('ps -a shows those that have ended, --node those of one node', async () => {
  const { tucano } = await createTestCli({ instances })
  expect((await tucano('ps', '-a')).out).toContain('77b1d402  api      w2')
  expect((await tucano('ps', '--node', 'w2')).out).toBe('no instances\n')
})

test('--wide shows whole ids and reasons', async () => {
  const { tucano } = await createTestCli({ instances })
  const { out } = await tucano('ps', '-a', '--wide')
  expect(out).toContain(id('77b1d402'))
  expect(out).toContain('it exited with code 1')
})

test('every table keeps to 80 columns whatever the names are', async () => {
  const long = 'a-service-with-a-name-of-sixty-three-characters-which-is-the-most'.slice(0, 63)
  const node = 'a-node-with-a-name-of-sixty-three-characters-which-is-the-most-0'.slice(0, 63)
  const service = aService({ name: long })
  const { tucano } = await createTestCli({
    instances: [anInstance({ service: long, node, attempt: 6, state: 'deploying' })],
    configured_services: [service],
    nodes: [aNode({ name: node, ip: 'fd00:1111:2222:3333:4444:5555:6666:7777' })],
    pending: [],
  })
  for (const words of [
    ['ps'],
    ['services'],
    ['nodes'],
    ['config', 'history'],
    ['help'],
    ['help', 'up'],
    ['help', 'deploy'],
    ['help', 'config'],
  ]) {
    const { code, out } = await tucano(...words)
    expect(code).toBe(0)
    for (const line of out.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80)
  }
})

test('services says what runs where, and what waits for a place', async () => {
  const { tucano } = await createTestCli({ instances })
  const { out } = await tucano('services')
  expect(out).toContain('api      partial      1/2  w1     3000  -             1\n')
  expect(out).toContain('api: 1 without a place: no worker is alive')
})

test('nodes shows state and load, and says what a freeze is and how it ends', async () => {
  const { tucano } = await createTestCli()
  const { out } = await tucano('nodes')
  expect(out).toMatch(/^w1 +alive +127\.0\.0\.1:7071 +25 % +50 % +10 % +1 +v2 +99 s$/m)
  expect(out).toMatch(/^w2 +dead +127\.0\.0\.1:7071 +- +- +- +1 +v2 +99 s$/m)
  expect(out).toContain('If they are really gone: tucano unfreeze')
})

test('show tells of a service, a node, and an instance by the end of its id', async () => {
  const failure = { error: 'exited', instance: id('77b1d402'), node: 'w2' }
  const deployments = [aDeployment({ failure })]
  const { tucano } = await createTestCli({ instances, deployments })
  const service = await tucano('show', 'api')
  expect(service.out).toContain('state       partial, 1 of 2 running')
  expect(service.out).toContain(`failure of ${id('77b1d402')}: exited`)
  expect((await tucano('show', 'w1')).out).toContain('cpu         25 % of 2 cores')
  expect((await tucano('show', 'w1')).out).toContain('limits      v2: delegated')
  expect((await tucano('show', 'w1')).out).toContain('run as tucano-run: the default')
  const instance = await tucano('show', '77b1d402')
  expect(instance.out).toContain('state       failed to start (failed_to_start)')
  expect(instance.out).toContain('  | no such file')
  expect(await tucano('show', 'nothing')).toMatchObject({
    code: 1,
    err: 'tucano: there is no service or instance nothing\nnext: tucano services and tucano ps list what there is\n',
  })
})

test('show says which revision each instance runs, and when it is not the wanted one', async () => {
  const service = aService({ revision: 3, programRevision: 2 })
  const mixed = [
    anInstance({ id: id('00000001'), revision: 1 }),
    anInstance({ id: id('00000002'), revision: 2, node: 'w2' }),
  ]
  const start = { instances: mixed, configured_services: [service], deployments: [] }
  const { tucano } = await createTestCli(start)
  const { out } = await tucano('show', 'api')
  expect(out).toContain('revision 1 goes on serving (1 instance)')
  expect(out).toMatch(/^INSTANCE .* REVISION$/m)
  expect(out).toMatch(/^00000001 .* 1$/m)
  expect(out).toMatch(/^00000002 .* 2$/m)
})

test('an end that fits several instances is refused with their ids', async () => {
  const twins = [anInstance({ id: id('0000aa11') }), anInstance({ id: id('1111aa11') })]
  const { tucano } = await createTestCli({ instances: twins })
  const { code, err } = await tucano('show', 'aa11')
  expect(code).toBe(2)
  expect(err).toContain(`${id('0000aa11')} (api) or ${id('1111aa11')} (api)`)
  expect((await tucano('ps')).out).toContain('0000aa11')
})

test('--json gives the answer of the API as one object', async () => {
  const { tucano, ask } = await createTestCli({ instances })
  const paths = { ps: '/v1/instances', nodes: '/v1/nodes', services: '/v1/services' }
  for (const [command, path] of Object.entries(paths)) {
    const { out } = await tucano(command, '--json')
    expect(JSON.parse(out)).toEqual((await ask('GET', path)).json())
  }
  expect(JSON.parse((await tucano('show', 'api', '--json')).out)).toMatchObject({
    service: { name: 'api' },
  })
  expect(JSON.parse((await tucano('alerts', '--json')).out)).toMatchObject({ outbox: 1 })
  expect(JSON.parse((await tucano('version', '--json')).out)).toMatchObject({
    controller: { epoch: 3 },
  })
})

test('a terminal gets colour for state words, unless NO_COLOR is set', async () => {
  const { begin } = await createTestCli({ instances })
  const coloured = await begin(['ps'], { isTTY: true }).done
  expect(coloured.out).toContain('\u001b[32mhealthy\u001b[0m ')
  const plain = await begin(['ps'], { isTTY: true, env: { NO_COLOR: '1' } }).done
  expect(plain.out).not.toContain('\u001b')
})

test('what the cluster says cannot move the cursor', async () => {
  const why = 'bad\u001b[2Jword\r\nforged line'
  const { tucano } = await createTestCli({ instances: [anInstance({ why })] })
  const { out } = await tucano('ps', '--wide')
  expect(out).not.toContain('\u001b')
  expect(out.split('\n')).toHaveLength(3)
})

test('alerts lists incidents with their story; alerts test puts a mail into the outbox', async () => {
  const { tucano, ctld } = await createTestCli()
  const { out } = await tucano('alerts')
  expect(out).toBe(
    'open  node dead: w2  (99 s ago; 1 mail)\n  w2 died\nmails that wait to be sent: 1\n' +
      '  [tucano] w2: 2 tries, again in 40 s; 450 busy\n',
  )
  expect((await tucano('alerts', 'test')).out).toContain('mail-1')
  expect(ctld.commands).toEqual([{ kind: 'test_alert' }])
  expect((await tucano('alerts', 'tset')).code).toBe(2)
})

test('events shows the newest, oldest first', async () => {
  const { tucano, ctld } = await createTestCli()
  for (let count = 1; count <= 5; count += 1) ctld.addEvent(`event ${count}`)
  const { out } = await tucano('events', '-n', '2')
  expect(out.match(/event \d/g)).toEqual(['event 4', 'event 5'])
  const { out: json } = await tucano('events', '-n', '1', '--json')
  expect(JSON.parse(json)).toMatchObject({ cursor: 5, events: [{ text: 'event 5' }] })
})

test('events -f goes on with what happens, as JSON one object a line', async () => {
  const { begin, ctld } = await createTestCli()
  ctld.addEvent('before')
  const running = begin(['events', '-f', '--json'])
  await running.said(/before/)
  ctld.addEvent('after')
  await running.said(/after/)
  running.interrupt()
  const { code, out } = await running.done
  expect(code).toBe(130)
  expect(
    out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).cursor),
  ).toEqual([1, 2])
})

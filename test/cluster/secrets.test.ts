// Secrets in a whole cluster: which version a revision gets and when, who may hold it, what happens
// when the agent, the machine or the controller forgets, and where no value may ever be.

import { expect, test } from 'vitest'
import { TucanoError } from '#shared/errors.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const uses = { secrets: { password: { variable: 'PASSWORD', file: 'password' } } }

const set = (cluster: VirtualCluster, value: string, name = 'password') =>
  cluster.submit({ kind: 'put_secret', name, value })

/** What the running programs of a service were given, in the order of their nodes. */
function given(cluster: VirtualCluster, service = 'api'): (string | undefined)[] {
  const live = cluster.live(service).toSorted((a, b) => (a.node < b.node ? -1 : 1))
  return live.map(({ id, node }) => {
    const start = startsOn(cluster, node).findLast((one) => one.id === id)
    const [file] = start?.files ?? []
    expect(file?.text).toBe(start?.env.PASSWORD)
    return start?.env.PASSWORD
  })
}

const startsOn = (cluster: VirtualCluster, node: string) =>
  cluster.world.agents.get(node)?.machine.starts() ?? []

/** Everything that is or was on a disk of the cluster, in a log, a mail, an event or an answer. */
async function everything(cluster: VirtualCluster): Promise<string> {
  const { world } = cluster
  const disks = [world.controller.storage.disk, ...[...world.agents.values()].map(diskOf)]
  const files = disks.flatMap((disk) =>
    disk.paths().map((path) => Buffer.from(disk.peek(path) ?? []).toString()),
  )
  const events = await cluster.settled(cluster.ctld().events(0, 10_000))
  const told = [cluster.snapshot(), events, world.mails, world.trace]
  return [...files, ...told.map((one) => JSON.stringify(one))].join('\n')
}

const diskOf = ({
  notebook,
}: {
  notebook: { disk: { paths(): string[]; peek(path: string): Uint8Array | undefined } }
}) => notebook.disk

test('a deploy is refused while a secret is not set, and names the command that sets it', async () => {
  const cluster = await startCluster()
  const refused = cluster.deploy('api', 1, uses)
  await expect(refused).rejects.toThrow(
    'api needs the secret password, which is not set: tucano secret set password',
  )
  expect(cluster.snapshot().configured_services).toEqual([])
})

test('S6: every instance gets the value, and nothing that is kept or told has it', async () => {
  const cluster = await startCluster()
  await set(cluster, 'canary-one')
  await cluster.run('api', 3, uses)
  expect(given(cluster)).toEqual(['canary-one', 'canary-one', 'canary-one'])
  cluster.world.behave = () => ({ endsAfterMs: 5, code: 1, output: ['no'] })
  await cluster.deploy('bad', 1, uses)
  await cluster.until(() => cluster.subjects().some((one) => one.includes('bad')), 600_000)
  const all = await everything(cluster)
  expect(all).toContain('password')
  expect(all).not.toContain('canary')
})

test('S6: only workers with an instance that gets it hold a value', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  await cluster.run('plain', 3)
  await cluster.run('api', 1, uses)
  const holders = () =>
    [...cluster.world.agents.values()]
      .filter(({ notebook }) => notebook.vault.values.length > 0)
      .map(({ name }) => name)
  expect(holders()).toEqual(cluster.live('api').map(({ node }) => node))
  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.until(() => cluster.live('api').length === 0)
  await cluster.until(() => holders().length === 0)
})

test('a new value waits for a deploy, and is a new program then', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  await cluster.run('api', 2, uses)
  const [first] = cluster.live('api')
  await set(cluster, 'two')
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 3 })
  await cluster.until(() => cluster.isWhole('api'))
  // The revision's own version, for what comes in addition too.
  expect(given(cluster)).toEqual(['one', 'one', 'one'])
  expect(cluster.live('api').map(({ id }) => id)).toContain(first?.id)
  expect(cluster.snapshot().secrets[0]).toMatchObject({
    version: 2,
    usedBy: [{ service: 'api', version: 1 }],
  })

  await cluster.deploy('api', 3, uses)
  await cluster.until(() => given(cluster).every((value) => value === 'two'), 300_000)
  expect(cluster.live('api').map(({ id }) => id)).not.toContain(first?.id)
  expect(cluster.snapshot().secrets[0]?.usedBy).toEqual([{ service: 'api', version: 2 }])
})

test('a deploy of the same with the same secrets is no change', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  await cluster.run('api', 2, uses)
  await set(cluster, 'one')
  await cluster.deploy('api', 2, uses)
  expect(cluster.service('api').revision).toBe(1)
})

test('a restart replaces every instance, with the new value', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  await cluster.run('api', 2, uses)
  const before = cluster.live('api').map(({ id }) => id)
  await set(cluster, 'two')
  await cluster.submit({ kind: 'restart', service: 'api' })
  await cluster.until(() => given(cluster).every((value) => value === 'two'), 300_000)
  await cluster.until(() => cluster.isWhole('api'), 300_000)
  expect(cluster.live('api').filter(({ id }) => before.includes(id))).toEqual([])
})

test('a restart is forced, and refused of what is stopped', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  const [before] = cluster.live('api')
  await cluster.submit({ kind: 'restart', service: 'api' })
  await cluster.until(() => cluster.isWhole('api') && cluster.live('api')[0]?.id !== before?.id)
  await cluster.submit({ kind: 'stop', service: 'api' })
  const { message } = await cluster.refusal({ kind: 'restart', service: 'api' })
  expect(message).toBe('api is stopped: tucano start api')
})

test('a stopped service starts with the value of today', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  await cluster.run('api', 1, uses)
  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.until(() => cluster.live('api').length === 0)
  await set(cluster, 'two')
  await cluster.submit({ kind: 'start', service: 'api' })
  await cluster.until(() => cluster.isWhole('api'))
  expect(given(cluster)).toEqual(['two'])
})

test('a rollback goes back to the value of its revision too', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  await cluster.run('api', 1, uses)
  await set(cluster, 'two')
  await cluster.deploy('api', 1, uses)
  await cluster.until(() => given(cluster).every((value) => value === 'two'), 300_000)
  await cluster.submit({ kind: 'rollback', service: 'api', revision: 1 })
  await cluster.until(() => given(cluster).every((value) => value === 'one'), 300_000)
})

test('a value with which nothing starts is taken back with its deployment', async () => {
  const cluster = await startCluster()
  cluster.world.behave = ({ env }) => (env.PASSWORD === 'bad' ? { endsAfterMs: 5, code: 1 } : {})
  await set(cluster, 'good')
  await cluster.run('api', 2, uses)
  await cluster.until(() => cluster.service('api').goodRevision === 1, 300_000)
  const before = cluster.live('api').map(({ id }) => id)
  await set(cluster, 'bad')
  await cluster.submit({ kind: 'restart', service: 'api' })
  await cluster.until(
    () => cluster.snapshot().deployments.some(({ kind }) => kind === 'revert'),
    600_000,
  )
  await cluster.until(() => cluster.isWhole('api') && cluster.live('api').length === 2, 600_000)
  expect(given(cluster)).toEqual(['good', 'good'])
  expect(cluster.live('api').map(({ id }) => id)).toEqual(before)
  expect(cluster.snapshot().secrets[0]).toMatchObject({
    version: 2,
    usedBy: [{ service: 'api', version: 1 }],
  })
})

test('a secret that somebody uses is not removed; one that is gone stops a rollback', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  await cluster.run('api', 1, uses)
  const remove = { kind: 'remove_secret', name: 'password' } as const
  expect((await cluster.refusal(remove)).message).toMatch(/the secret password is used by api/)
  await cluster.deploy('api', 1)
  await cluster.until(
    () => cluster.isWhole('api') && cluster.service('api').goodRevision === 2,
    300_000,
  )
  await cluster.submit(remove)
  const back = { kind: 'rollback', service: 'api', revision: 1 } as const
  expect((await cluster.refusal(back)).message).toBe(
    'api: revision 1 had secrets that were removed: password (version 1)',
  )
  // A number that was given once means that value for ever.
  const { secret } = await set(cluster, 'other')
  expect(secret?.version).toBe(2)
  expect((await cluster.refusal(back)).code).toBe('conflict')
  expect((await cluster.refusal({ ...remove, name: 'no-such' })).code).toBe('not_found')
})

test('a refused write changes nothing, and says so', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  const { secrets } = cluster.world.controller.storage
  secrets.failWith = new TucanoError('store_failed', 'no space left')
  const put = { kind: 'put_secret', name: 'password', value: 'two' } as const
  expect((await cluster.refusal(put)).code).toBe('store_failed')
  secrets.failWith = undefined
  expect(cluster.snapshot().secrets.map(({ version }) => version)).toEqual([1])
})

test('F03: an agent that was killed restarts its programs without the controller', async () => {
  const cluster = await startCluster({ workers: 1 })
  await set(cluster, 'one')
  await cluster.run('api', 1, uses)
  const [instance] = cluster.live('api')
  cluster.world.killController('kill')
  cluster.killAgent('w1')
  cluster.startAgent('w1')
  await cluster.pass(3_000)
  cluster.world.agents.get('w1')?.machine.kill(instance?.id ?? '')
  await cluster.until(() => startsOn(cluster, 'w1').length === 2, 120_000)
  expect(startsOn(cluster, 'w1').at(-1)?.env.PASSWORD).toBe('one')
})

test('an agent whose values are lost asks for its order again, and stops nothing', async () => {
  const cluster = await startCluster({ workers: 1 })
  await set(cluster, 'one')
  await cluster.run('api', 1, uses)
  const vault = cluster.world.agents.get('w1')?.notebook.vault
  cluster.killAgent('w1')
  vault?.lose()
  cluster.startAgent('w1')
  await cluster.until(() => vault?.values.length === 1, 30_000)
  await cluster.until(() => cluster.isWhole('api'))
  expect(startsOn(cluster, 'w1')).toHaveLength(1)
  const [instance] = cluster.live('api')
  cluster.world.agents.get('w1')?.machine.kill(instance?.id ?? '')
  await cluster.until(() => startsOn(cluster, 'w1').length === 2, 120_000)
  expect(startsOn(cluster, 'w1').at(-1)?.env.PASSWORD).toBe('one')
})

test('F25: after a reboot of the worker the value comes with the order', async () => {
  const cluster = await startCluster({ workers: 1 })
  await set(cluster, 'one')
  await cluster.run('api', 1, uses)
  cluster.powerOff('w1')
  expect(cluster.world.agents.get('w1')?.notebook.vault.values).toEqual([])
  cluster.startAgent('w1')
  await cluster.until(() => startsOn(cluster, 'w1').length === 2, 120_000)
  await cluster.until(() => cluster.isWhole('api'), 120_000)
  expect(given(cluster)).toEqual(['one'])
})

test('a controller that is restarted hands out the versions that its revisions name', async () => {
  const cluster = await startCluster()
  await set(cluster, 'one')
  await cluster.run('api', 2, uses)
  await set(cluster, 'two')
  await cluster.restartController()
  await cluster.until(() => cluster.isWhole('api'), 120_000)
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 3 })
  await cluster.until(() => cluster.isWhole('api'), 120_000)
  expect(given(cluster)).toEqual(['one', 'one', 'one'])
})

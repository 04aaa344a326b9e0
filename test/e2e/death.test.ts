// A worker dies with all that runs on it: what the users see, what the sysadmin is told.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startOpenLoop } from '#test/helpers/open-loop.ts'
import { programsOf, type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'
import { type SmtpTestServer, startSmtpServer, testCaPath } from '#test/helpers/smtp-server.ts'

const PASSWORD = 'a password that nobody must see'

describe('with a mail server that wants TLS and a password', () => {
  let smtp: SmtpTestServer
  let cluster: RealCluster

  beforeAll(async () => {
    smtp = await startSmtpServer({ tls: 'starttls', auth: { user: 'tucano', password: PASSWORD } })
    process.env.TUCANO_TEST_SMTP = PASSWORD
    cluster = await startCluster({
      workers: 3,
      worker: 'restart: { command: [sh, -c, "exit 1"], attempts: 2, backoff: 500ms }',
      extra: [
        'alerts:',
        '  from: tucano@example.org',
        '  to: [admin@example.org]',
        '  gather: 1s',
        '  smtp:',
        `    { host: 127.0.0.1, port: ${smtp.port}, security: starttls, user: tucano,`,
        `      password: { env: TUCANO_TEST_SMTP }, ca_file: ${testCaPath}, timeout: 5s }`,
        'health: { liveness_timeout: 4s, probe_timeout: 500ms, startup_grace: 60s }',
      ].join('\n'),
    })
    const deployment = await cluster.deploy('trivial-js', { concurrency: 3 })
    expect(deployment.state, JSON.stringify(deployment)).toBe('complete_running')
  })

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]()
    await smtp.close()
  })

  test('Q19: the test alert arrives over TLS with a password', async () => {
    const { status } = await cluster.api('POST', '/v1/alerts/test')
    expect(status).toBe(202)
    const mail = await smtp.next()
    expect(mail).toMatchObject({ to: ['admin@example.org'], secure: true, user: 'tucano' })
  })

  test('T04/F09: a worker dies: moved, in dead_nodes, one mail, and requests go on', async () => {
    const load = startOpenLoop({
      url: cluster.balancerUrl,
      host: 'trivial-js',
      perSecond: 200,
    })
    await load.answered(100)
    const killedAt = performance.now()
    const agent = cluster.agent('w2')
    agent.kill('SIGKILL')
    for (const pid of await programsOf(join(cluster.folder, 'w2'))) process.kill(pid, 'SIGKILL')
    await agent.exited

    await cluster.until('w2 has left alive_nodes', async () => {
      return (await cluster.runtime()).alive_nodes.every(({ name }) => name !== 'w2')
    })
    await cluster.until('three serve again', async () => {
      const serving = (await cluster.instances('trivial-js')).filter(
        ({ state, healthy, node }) => state === 'started' && healthy && node !== 'w2',
      )
      return serving.length === 3
    })
    const servedAfterMs = performance.now() - killedAt
    await cluster.until('w2 is in dead_nodes', async () => {
      return (await cluster.runtime()).dead_nodes.some(({ name }) => name === 'w2')
    })
    const mail = await smtp.next()
    expect(mail.subject).toContain('w2')
    expect(mail.text).toContain('trivial-js')
    expect(mail.text).toMatch(/moved from w2 to w[13]/)
    expect(mail.text).toContain('2 restart attempts failed')
    await load.answered(200)
    await load.stop()
    const events = await cluster.events()
    expect(events.filter(({ kind }) => kind === 'node.restart_attempt')).toHaveLength(2)
    expect(load.bad()).toEqual([])
    console.log(`served by three again ${Math.round(servedAfterMs)} ms after the death`)
  })

  test('Q05: the worker comes back: alive again, one mail of recovery, no third copy', async () => {
    await cluster.startAgent('w2')
    await cluster.until('w2 is alive', async () => {
      return (await cluster.runtime()).alive_nodes.some(({ name }) => name === 'w2')
    })
    const mail = await smtp.next()
    expect(mail.subject).toMatch(/w2/)
    expect(mail.text).toContain('w2 is back')
    await cluster.until('three run, no more', async () => {
      const live = (await cluster.instances('trivial-js')).filter(({ state }) =>
        ['started', 'deploying', 'terminating', 'lost'].includes(state),
      )
      return live.length === 3
    })
    expect(smtp.mails).toHaveLength(3)
  })

  test('F39: the mail server is away for a while: the alert arrives once, later', async () => {
    smtp.behave({ code: 451, text: 'try again later' })
    const before = smtp.connections()
    await cluster.api('POST', '/v1/alerts/test')
    await cluster.until('it was tried in vain', async () => smtp.connections() > before)
    expect((await cluster.api<{ outbox: number }>('GET', '/v1/alerts')).body.outbox).toBe(1)
    const controller = cluster.controller()
    controller.kill('SIGKILL')
    await controller.exited
    await cluster.startController()
    smtp.behave('accept')
    await smtp.next()
    await cluster.until('the outbox is empty', async () => {
      return (await cluster.api<{ outbox: number }>('GET', '/v1/alerts')).body.outbox === 0
    })
    expect(smtp.mails).toHaveLength(4)
  })

  test('M06/M45/Q13: a worker added to the file by hand that is not there is watched at once', async () => {
    const { body } = await cluster.api<{ version: number; text: string }>('GET', '/v1/config')
    const text = body.text.replace(
      '  - { name: w3',
      '  - { name: w9, kind: worker, ip: 127.0.0.1, agent_port: 9 }\n  - { name: w3',
    )
    await writeFile(join(cluster.folder, 'topology.yaml'), text)
    await cluster.until('the new version is in force', async () => {
      const now = await cluster.api<{ version: number }>('GET', '/v1/config')
      return now.body.version === body.version + 1
    })
    const { nodes } = (
      await cluster.api<{ nodes: { name: string; state: string }[] }>('GET', '/v1/nodes')
    ).body
    expect(nodes.find(({ name }) => name === 'w9')).toMatchObject({ state: 'unknown' })
  })

  test('S6: the mail password is in no log', async () => {
    const { readFile } = await import('node:fs/promises')
    const log = await readFile(join(cluster.folder, 'ctld.log'), 'utf8')
    expect(log).not.toContain(PASSWORD)
  })
})

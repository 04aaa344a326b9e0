// tucano alerts: incidents and the mails about them; `alerts test` sends a test mail.

import { durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { AlertsAnswer, Incident, WaitingMail } from './answers.ts'
import type { Command } from './command.ts'
import { plain, type Tone } from './table.ts'
import { since } from './words.ts'

const tones: Record<Incident['state'], Tone> = {
  gathering: 'warn',
  open: 'bad',
  recovered: 'good',
}

export const alerts: Command = {
  name: 'alerts',
  summary: 'Incidents and their mails, or send a test mail',
  words: '[test]',
  options: [],
  async run({ words: [action], screen, client, now }) {
    if (action !== undefined && action !== 'test') {
      throw new TucanoError('usage', `alerts knows only test, not ${action}`)
    }
    const api = await client()
    if (action === 'test') {
      const answer = await api.send<{ mail_id: string }>('POST', '/v1/alerts/test')
      if (screen.json) screen.object(answer)
      else screen.line(`test mail ${answer.mail_id} is in the outbox; see: tucano alerts`)
      return 0
    }
    const answer = await api.get<AlertsAnswer>('/v1/alerts')
    if (screen.json) {
      screen.object(answer)
      return 0
    }
    for (const incident of answer.incidents) {
      const { kind, state, subjects, openedAt, recoveredAt, mails, story } = incident
      const what = `${kind.replaceAll('_', ' ')}: ${subjects.map(plain).join(', ')}`
      const ended = recoveredAt === null ? '' : `, recovered ${since(recoveredAt, now())} ago`
      const mailed = `${mails} ${mails === 1 ? 'mail' : 'mails'}`
      const opened = `${since(openedAt, now())} ago${ended}; ${mailed}`
      screen.line(`${screen.paint(tones[state], state)}  ${what}  (${opened})`)
      for (const line of story) screen.line(`  ${plain(line)}`)
    }
    if (answer.incidents.length === 0) screen.line('no incidents')
    if (answer.outbox > 0) screen.line(`mails that wait to be sent: ${answer.outbox}`)
    for (const mail of answer.waiting ?? []) screen.line(`  ${waitingText(mail, now())}`)
    return 0
  },
}

/** `[tucano] node w2 is dead: 2 tries, again in 40 s; 450 busy`. */
function waitingText({ subject, tries, next_at: nextAt, last_error }: WaitingMail, now: number) {
  const again = nextAt > now ? `again in ${durationText(nextAt - now)}` : 'goes now'
  const tried =
    tries === 0 ? 'not tried yet' : `${tries} ${tries === 1 ? 'try' : 'tries'}, ${again}`
  return plain(`${subject}: ${tried}${last_error === null ? '' : `; ${last_error}`}`)
}

// What the controller itself knows, as measurements: workers and instances by state, what is wanted
// of each service and what runs, incidents and mails.

import type { Snapshot } from '#ctld/snapshot.ts'
import { compare } from '#shared/compare.ts'
import { type Family, labelsOf, type Sample } from './exposition.ts'
import { nodeAnswer } from './node-answers.ts'
import { type ServiceSummary, summarize } from './service-summary.ts'

export function clusterFamilies(snapshot: Snapshot, version: string): Family[] {
  const summaries = snapshot.configured_services.map((one) => summarize(one, snapshot.instances))
  return [
    gauge('build_info', 'Version of the controller, always 1', [one({ version }, 1)]),
    gauge('controller_start_time_seconds', 'When this controller started', [
      one({}, snapshot.startedAt / 1_000),
    ]),
    gauge('controller_degraded', '1 while the controller cannot write to its disk', [
      one({}, snapshot.degraded === null ? 0 : 1),
    ]),
    {
      name: 'tucano_events_total',
      type: 'counter',
      help: 'Events in the history',
      samples: [one({}, snapshot.lastEventCursor)],
    },
    ...nodeFamilies(snapshot),
    ...serviceFamilies(summaries),
    gauge(
      'instances',
      'Instances by state; those that ended are known for a while',
      countsBy(snapshot.instances, ({ service, state }) => ({ service, state })),
    ),
    gauge(
      'instances_without_place',
      'Instances that should run and find no worker',
      snapshot.pending.map(({ service, count }) => one({ service }, count)),
    ),
    gauge('incidents', 'Matters that the sysadmin is told of, by state', [
      ...(['gathering', 'open'] as const).map((state) =>
        one({ state }, snapshot.incidents.filter((incident) => incident.state === state).length),
      ),
    ]),
    gauge('mails_waiting', 'Mails that wait to be sent', [one({}, snapshot.outbox)]),
  ]
}

function nodeFamilies({ nodes, frozen }: Snapshot): Family[] {
  const silent = nodes.flatMap(({ name, silentMs }) =>
    silentMs === null ? [] : [one({ node: name }, silentMs / 1_000)],
  )
  return [
    gauge(
      'nodes',
      'Workers by state',
      nodeAnswer.shape.state.options.map((state) =>
        one({ state }, nodes.filter((node) => node.state === state).length),
      ),
    ),
    gauge('nodes_drained', 'Workers that get no instance', [
      one({}, nodes.filter(({ drained }) => drained).length),
    ]),
    gauge('frozen', '1 while nothing is moved because many workers vanished at once', [
      one({}, frozen === null ? 0 : 1),
    ]),
    gauge('node_silent_seconds', 'Since the last report of a worker', silent),
  ]
}

function serviceFamilies(summaries: readonly ServiceSummary[]): Family[] {
  return [
    gauge(
      'service_instances_wanted',
      'Instances that shall run',
      summaries.map(({ name, wanted }) => one({ service: name }, wanted)),
    ),
    gauge(
      'service_instances_running',
      'Instances that are started and healthy',
      summaries.map(({ name, running }) => one({ service: name }, running)),
    ),
    gauge(
      'service_traffic',
      'What becomes of requests (open, paused, maintenance), always 1',
      summaries.map(({ name, traffic }) => one({ service: name, state: traffic.state }, 1)),
    ),
  ]
}

/** How many there are of each combination of labels. */
function countsBy<T>(items: readonly T[], of: (item: T) => Record<string, string>): Sample[] {
  const groups = Map.groupBy(items, (item) => labelsOf(of(item)))
  return [...groups]
    .map(([labels, { length }]) => ({ labels, value: length }))
    .sort((left, right) => compare(left.labels, right.labels))
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name: `tucano_${name}`, type: 'gauge', help, samples }
}

function one(labels: Record<string, string>, value: number): Sample {
  return { labels: labelsOf(labels), value }
}

// Which of a service's revisions run the same program: most changes of a configuration (a host, a
// limit, the number of instances) leave the running program as it is. Pure.

import type { Instance, Service } from './model.ts'

type Revisions = Pick<Service, 'revision' | 'programRevision' | 'revisions'>

/** The revision at which the program of this one appeared; itself when it is no longer kept. */
export function programOf(service: Revisions, revision: number): number {
  if (revision === service.revision) return service.programRevision
  return service.revisions.find((entry) => entry.revision === revision)?.program ?? revision
}

/** It runs the program that is declared, whatever the number of its revision. */
export function isCurrent(service: Revisions, instance: Pick<Instance, 'revision'>): boolean {
  return programOf(service, instance.revision) === service.programRevision
}

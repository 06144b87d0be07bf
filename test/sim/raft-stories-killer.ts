/** The stories as a hunter of mutants: there is no chance in them. */
import { Raft } from '../../raft/core/raft.ts'
import { stories } from './raft-stories.ts'

export const killer = {
  name: 'stories',
  run(): void {
    for (const story of Object.values(stories)) story(Raft)
  },
}

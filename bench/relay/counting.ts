import { defineConsumer } from '#consumers/define.ts'
import { topics } from '#events/topics.ts'

// What a consumer costs that does nothing with its events.
// biome-ignore lint/style/noDefaultExport: `bun run consumer` takes what a file exports by default.
export default defineConsumer({
  name: 'counting',
  groupId: 'counting',
  topics: Object.values(topics),
  handle: async () => undefined,
})

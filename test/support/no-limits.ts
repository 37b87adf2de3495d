/** For a gateway's environment, when a test asks faster than people do. */
export const noLimits = {
  RATE_CHATS_PER_MINUTE: '0',
  RATE_REQUESTS_PER_MINUTE: '0',
  MAX_CONNECTIONS_PER_USER: '0',
  MAX_GENERATIONS_PER_USER: '0',
}

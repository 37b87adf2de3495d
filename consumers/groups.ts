/** The groups of our own consumers. */
export const groups = {
  audit: 'audit-trail-consumer',
  analytics: 'analytics-consumer',
  history: 'history-consumer',
  notify: 'notification-consumer',
} as const

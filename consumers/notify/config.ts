import { z } from 'zod'
import { type Env, list, parseEnv, refuse, together } from '#runtime/env.ts'
import { url, webUrl } from '#runtime/process-env.ts'
import { type ConsumerConfig, consumerConfig } from '../config.ts'

/** Where notifications go; null: not there. At least one is set. */
export interface NotifyTargets {
  webhookUrl: string | null
  slackWebhookUrl: string | null
  mail: { smtpUrl: string; from: string; to: string[] } | null
}

export interface NotifyConfig extends ConsumerConfig {
  targets: NotifyTargets
}

// `ops@example.com` or `Sluice <ops@example.com>`; the rest is for a mail server to say.
const address = /^([^<>\r\n]*<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+)$/

/** What it reads beyond every consumer's variables. */
export const NotifyEnv = z.object({
  NOTIFY_WEBHOOK_URL: webUrl().optional(),
  NOTIFY_SLACK_WEBHOOK_URL: webUrl().optional(),
  NOTIFY_SMTP_URL: url(/^smtps?:$/, 'an smtp or smtps URL').optional(),
  NOTIFY_MAIL_FROM: z.string().regex(address, 'must be a mail address').optional(),
  NOTIFY_MAIL_TO: list()
    .refine((to) => to.length > 0 && to.every((member) => address.test(member)), {
      error: 'must be a list of mail addresses',
    })
    .optional(),
})

/** Throws a `ConfigError` with every problem. */
export function notifyConfig(env: Env, hostName: string): NotifyConfig {
  const { common, own } = together({
    common: () => consumerConfig(env, hostName),
    own: () => parseEnv(NotifyEnv, env),
    between: () => checkBetween(env),
  })
  const { NOTIFY_SMTP_URL: smtpUrl, NOTIFY_MAIL_FROM: from, NOTIFY_MAIL_TO: to } = own
  return {
    ...common,
    targets: {
      webhookUrl: own.NOTIFY_WEBHOOK_URL ?? null,
      slackWebhookUrl: own.NOTIFY_SLACK_WEBHOOK_URL ?? null,
      mail: smtpUrl && from && to ? { smtpUrl, from, to } : null,
    },
  }
}

/** What no single variable can be blamed for. */
function checkBetween(env: Env): void {
  const ofMail = ['NOTIFY_SMTP_URL', 'NOTIFY_MAIL_FROM', 'NOTIFY_MAIL_TO']
  const set = ofMail.filter((name) => env[name])
  const problems =
    set.length === 0
      ? []
      : ofMail
          .filter((name) => !env[name])
          .map((name) => `${name}: must be set, as ${set.join(', ')} is`)
  const targets = ['NOTIFY_WEBHOOK_URL', 'NOTIFY_SLACK_WEBHOOK_URL', 'NOTIFY_SMTP_URL']
  if (set.length === 0 && targets.every((name) => !env[name])) {
    problems.push(`${targets.join(', ')}: at least one must be set`)
  }
  refuse(problems)
}

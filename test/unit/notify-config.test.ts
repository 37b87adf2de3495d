import { describe, expect, test } from 'bun:test'
import { notifyConfig } from '#consumers/notify/config.ts'
import { replayConfig } from '#consumers/replay/config.ts'
import { ConfigError } from '#runtime/env.ts'

const servers = {
  KAFKA_BROKERS: 'k:9092',
  REDIS_URL: 'redis://r',
  DATABASE_URL: 'postgres://p/sluice',
}
const problemsOf = (parse: () => unknown) => {
  try {
    parse()
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.toSorted()
  }
}

describe('the configuration of notify', () => {
  const of = (env: Record<string, string>) => notifyConfig({ ...servers, ...env }, 'host')

  test('has the targets that are named', () => {
    expect(of({ NOTIFY_WEBHOOK_URL: 'https://a.example/x' }).targets).toEqual({
      webhookUrl: 'https://a.example/x',
      slackWebhookUrl: null,
      mail: null,
    })
    const mail = {
      NOTIFY_SMTP_URL: 'smtp://user:secret@mail.example:587',
      NOTIFY_MAIL_FROM: 'Sluice <sluice@example.com>',
      NOTIFY_MAIL_TO: 'a@example.com, B <b@example.com>',
    }
    expect(of(mail).targets.mail).toEqual({
      smtpUrl: mail.NOTIFY_SMTP_URL,
      from: mail.NOTIFY_MAIL_FROM,
      to: ['a@example.com', 'B <b@example.com>'],
    })
  })

  test('without a target is refused, as is half of a mail', () => {
    expect(problemsOf(() => of({}))).toEqual([
      'NOTIFY_WEBHOOK_URL, NOTIFY_SLACK_WEBHOOK_URL, NOTIFY_SMTP_URL: at least one must be set',
    ])
    expect(problemsOf(() => of({ NOTIFY_SMTP_URL: 'smtp://m', NOTIFY_MAIL_TO: 'nobody' }))).toEqual(
      [
        'NOTIFY_MAIL_FROM: must be set, as NOTIFY_SMTP_URL, NOTIFY_MAIL_TO is',
        'NOTIFY_MAIL_TO: must be a list of mail addresses',
      ],
    )
    expect(problemsOf(() => of({ NOTIFY_WEBHOOK_URL: 'ftp://a' }))).toEqual([
      'NOTIFY_WEBHOOK_URL: must be an http or https URL',
    ])
  })

  test('names every server that it lacks', () => {
    const parse = () => notifyConfig({ NOTIFY_WEBHOOK_URL: 'http://a' }, 'host')
    expect(problemsOf(parse)).toEqual([
      'DATABASE_URL: must be set',
      'KAFKA_BROKERS: must be set',
      'REDIS_URL: must be set',
    ])
  })
})

describe('the configuration of replay', () => {
  const of = (env: Record<string, string>) => replayConfig({ ...servers, ...env }, 'host')

  test('is open on a loopback address alone', () => {
    expect(of({})).toMatchObject({ mode: 'development', host: '127.0.0.1', port: 8_090 })
    expect(of({ HOST: '10.0.0.1', JWKS_URL: 'https://a.example' })).toMatchObject({
      mode: 'jwt',
      host: '10.0.0.1',
    })
    expect(problemsOf(() => of({ HOST: '10.0.0.1' }))).toEqual([
      'JWT_SECRET: must be set (or JWKS_URL) when AUTH is jwt',
    ])
    expect(problemsOf(() => of({ HOST: '10.0.0.1', AUTH: 'development' }))).toEqual([
      'AUTH: development is refused on HOST 10.0.0.1, which is not a loopback address',
    ])
    expect(problemsOf(() => of({ JWT_SECRET: 'short' }))).toEqual([
      'JWT_SECRET: must be at least 32 bytes long',
    ])
  })
})

import { atEnd, opened } from './tracker.ts'

interface Mail {
  from: string
  to: string[]
  text: string
}

interface Session {
  text: string
  isData: boolean
  mail: Mail
}

/** A mail server of the test's own on a free port; `answer` is what it says to a mail. */
export function smtpServer(): { url: string; mails: Mail[]; answer: string } {
  const server = { url: '', mails: [] as Mail[], answer: '250 ok' }
  const empty = (): Mail => ({ from: '', to: [], text: '' })
  const closed = opened('mail server')
  const listener = Bun.listen<Session>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open(socket) {
        socket.data = { text: '', isData: false, mail: empty() }
        socket.write('220 test ESMTP\r\n')
      },
      data(socket, bytes) {
        const session = socket.data
        session.text += bytes.toString()
        for (;;) {
          const end = session.text.indexOf(session.isData ? '\r\n.\r\n' : '\r\n')
          if (end === -1) return
          const part = session.text.slice(0, end)
          session.text = session.text.slice(end + (session.isData ? 5 : 2))
          if (session.isData) {
            session.isData = false
            if (server.answer.startsWith('2')) server.mails.push({ ...session.mail, text: part })
            session.mail = empty()
            socket.write(`${server.answer}\r\n`)
          } else {
            socket.write(`${command(part, session)}\r\n`)
          }
        }
      },
    },
  })
  server.url = `smtp://127.0.0.1:${listener.port}`
  atEnd(() => {
    listener.stop(true)
    closed()
  })
  return server
}

function command(line: string, session: Session): string {
  const address = /<([^>]*)>/.exec(line)?.[1] ?? ''
  if (/^MAIL FROM/i.test(line)) session.mail.from = address
  else if (/^RCPT TO/i.test(line)) session.mail.to.push(address)
  else if (/^DATA/i.test(line)) {
    session.isData = true
    return '354 go on'
  } else if (/^QUIT/i.test(line)) return '221 bye'
  return '250 ok'
}

/** An answer in pieces that a frame, a log or a hash could get wrong. */
export const deltas = [
  'Why ',
  'is ',
  'the sky ',
  '“blue”? ',
  '🌊🌊',
  '\r\n',
  '\\ "quoted" ',
  'a',
  ' b ',
  'c.',
]

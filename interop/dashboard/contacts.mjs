// Contacts: a file is looked at and taken in without choosing it twice, a person opts out and in again, and is removed.
import { check } from '../product.mjs'
import { XSS, says } from './browser.mjs'

const FILE = `Handy;Name;Tags\n+4915123450001;Ana ${XSS.replaceAll('"', "'")};vip\n12;Nobody;\n+4915123450002;Ben;vip\n`

export async function contacts(watched, page, api) {
    await page.goto(`${api}/admin/contacts/`)
    await watched.look(page, 'contacts-empty')
    await page.getByRole('link', { name: 'Import', exact: true }).click()
    await watched.look(page, 'contacts-import')
    await page.getByLabel('File', { exact: true }).setInputFiles({ name: 'people.csv', mimeType: 'text/csv', buffer: Buffer.from(FILE) })
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.getByRole('heading', { name: 'What would happen' }).waitFor()
    await watched.look(page, 'contacts-import-looked')
    check(!await page.getByLabel('Only look at it').isChecked(), 'after the look the tick is away')
    await page.getByRole('button', { name: 'Go on' }).click()
    await page.getByRole('heading', { name: 'What came of it' }).waitFor()
    check(true, 'the file stayed chosen between the look and the import')
    await watched.look(page, 'contacts-import-done')
    await page.goto(`${api}/admin/contacts/?search=an`)
    await watched.look(page, 'contacts')
    await page.locator('a.name').first().click()
    await watched.look(page, 'contact')
    await page.getByLabel('They want no messages').fill('by letter')
    await page.getByRole('button', { name: 'Send nothing any more' }).click()
    await says(page, 'Nothing is sent to this person any more.')
    await page.getByRole('link', { name: 'They want messages again' }).click()
    await watched.look(page, 'contact-opt-in-dialog')
    await page.locator('dialog[open]').getByRole('button', { name: 'They want messages again' }).click()
    await says(page, 'This person may be written to again.')
    await page.getByRole('link', { name: 'Change' }).click()
    await watched.look(page, 'contact-edit')
    await page.goto(`${api}/admin/opt-outs/`)
    await watched.look(page, 'opt-outs')
    await page.goto(`${api}/admin/contacts/settings/`)
    await watched.look(page, 'contact-settings')
}

//! Templates and their versions.

use crate::world::{Account, Backend, World};
use sanasend_model::{FileId, Media, MediaKind, Timestamp};
use sanasend_store::{
    NewMedia, NewTemplate, Page, SavedTemplate, StoreError, TemplateCreated, TemplateDeleted, TemplateFilter, TemplatePatch,
};

fn new(account: Account, name: &str, language: &str, content: &str) -> NewTemplate {
    NewTemplate { user_id: account.user, name: name.into(), language: language.into(), content: content.into(), media: None }
}

async fn made<B: Backend>(w: &World<B>, new: NewTemplate) -> SavedTemplate {
    match w.store.create_template(new, 3).await {
        Ok(TemplateCreated::Done(made)) => *made,
        other => panic!("{other:?}"),
    }
}

pub async fn an_edit_makes_a_version_and_old_ones_stay<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let first = made(&w, new(account, "hello", "en", "Hi {{name}}")).await;
    assert_eq!((first.present.version, first.present.content.as_str()), (1, "Hi {{name}}"));
    let patch = |content: &str| TemplatePatch { content: Some(content.into()), ..TemplatePatch::default() };
    let second = w.store.update_template(first.id, patch("Hello {{name}}")).await.expect("changed").expect("there");
    assert_eq!(second.present.version, 2);
    let same = w.store.update_template(first.id, patch("Hello {{name}}")).await.expect("changed").expect("there");
    assert_eq!(same.present.version, 2, "what changes nothing makes no version");
    let away = TemplatePatch { is_archived: Some(true), ..TemplatePatch::default() };
    let away = w.store.update_template(first.id, away).await.expect("changed").expect("there");
    assert_eq!((away.is_archived, away.present.version), (true, 2));
    let old = w.store.template_version(first.id, 1).await.expect("read").expect("there");
    assert_eq!(old.content, "Hi {{name}}");
    assert_eq!(w.store.template_version(first.id, 3).await, Ok(None));
    let versions = w.store.list_template_versions(first.id, Page::default()).await.expect("listed");
    assert_eq!(versions.results.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(w.store.delete_template(first.id, false).await, Ok(TemplateDeleted::Done));
    assert_eq!(w.store.delete_template(first.id, false).await, Ok(TemplateDeleted::Missing));
    assert_eq!(w.ask("SELECT COUNT(*) FROM template_versions").await, 0);
}

pub async fn a_name_is_taken_once_in_a_language<B: Backend>(w: World<B>) {
    let (account, other) = (w.account().await, w.account().await);
    let english = made(&w, new(account, "hello", "en", "Hi")).await;
    assert_eq!(w.store.create_template(new(account, "hello", "en", "Hey"), 9).await, Err(StoreError::Conflict { what: "name" }));
    let german = made(&w, new(account, "hello", "de", "Hallo")).await;
    made(&w, new(other, "hello", "en", "theirs")).await;
    let named = w.store.templates_named(account.user, "hello").await.expect("read");
    assert_eq!(named.iter().map(|one| one.id).collect::<Vec<_>>(), [german.id, english.id]);
    let clash = TemplatePatch { language: Some("en".into()), ..TemplatePatch::default() };
    assert_eq!(w.store.update_template(german.id, clash).await, Err(StoreError::Conflict { what: "name" }));
    made(&w, new(account, "offer", "en", "Buy")).await;
    assert_eq!(w.store.create_template(new(account, "more", "en", "x"), 3).await, Ok(TemplateCreated::LimitReached));
    let found = async |filter: TemplateFilter| w.store.list_templates(&filter, Page::default()).await.expect("listed").count;
    let mine = || TemplateFilter { user_id: Some(account.user), ..TemplateFilter::default() };
    assert_eq!(found(TemplateFilter::default()).await, 4);
    assert_eq!(found(mine()).await, 3);
    assert_eq!(found(TemplateFilter { search: Some("ELL".into()), ..mine() }).await, 2);
    assert_eq!(found(TemplateFilter { language: Some("de".into()), ..mine() }).await, 1);
    assert_eq!(found(TemplateFilter { is_archived: Some(true), ..mine() }).await, 0);
}

pub async fn the_file_of_a_template_stays_as_long_as_the_template<B: Backend>(w: World<B>) {
    let account = w.account().await;
    let file = w.store.add_file(FileId::new(&*w.clock), account.user, [7; 32], 3).await.expect("added");
    let media = Media::new(MediaKind::Image, "image/png", 3, [7; 32]);
    let with_file = NewTemplate {
        media: Some((media.clone(), NewMedia { file, thumbnail: Some(vec![1, 2]) })),
        ..new(account, "picture", "en", "Look, {{name}}")
    };
    let template = made(&w, with_file).await;
    let (kept, stored) = template.present.media.clone().expect("a file");
    assert_eq!((kept, stored.file, stored.thumbnail), (media, file, Some(vec![1, 2])));
    let end = Timestamp(i64::MAX);
    assert_eq!(w.store.forget_unused_files(end).await, Ok(Vec::new()));
    let without = TemplatePatch { media: Some(None), ..TemplatePatch::default() };
    w.store.update_template(template.id, without).await.expect("changed");
    assert_eq!(w.store.forget_unused_files(end).await, Ok(Vec::new()), "an old version carries it");
    w.store.delete_template(template.id, true).await.expect("deleted");
    assert_eq!(w.store.forget_unused_files(end).await, Ok(vec![file]));
}

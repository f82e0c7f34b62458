//! The makers' own dialects. Each is written from what is known of it: the maker's documents, other programs, the source
//! of web pages.

pub(crate) mod axis;
pub(crate) mod bosch;
pub(crate) mod form_page;
pub(crate) mod hanwha;
pub(crate) mod mobotix;
pub(crate) mod reolink;
pub(crate) mod synology;
pub(crate) mod uniview;

// Chromium's certificate verifier on chains from files. For each line "ID ROOT LEAF OTHER..." of standard input one line
// "ID RESULT": "valid", "unreadable", or "invalid" and the names of the errors of the way to talk about.
//
// The root is trusted as one that a user added: its dates and constraints count. What is here and not in the library is how
// the browser finds roots on Linux: by the bytes of their names.
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include <openssl/pool.h>

#include "pki/cert_errors.h"
#include "pki/cert_issuer_source.h"
#include "pki/encode_values.h"
#include "pki/parsed_certificate.h"
#include "pki/path_builder.h"
#include "pki/signature_algorithm.h"
#include "pki/simple_path_builder_delegate.h"
#include "pki/trust_store.h"

namespace {

using Certificate = std::shared_ptr<const bssl::ParsedCertificate>;

Certificate Read(const std::string &file) {
  std::ifstream stream(file, std::ios::binary);
  std::string der{std::istreambuf_iterator<char>(stream), {}};
  bssl::UniquePtr<CRYPTO_BUFFER> buffer(
      CRYPTO_BUFFER_new(reinterpret_cast<const uint8_t *>(der.data()), der.size(), nullptr));
  bssl::ParseCertificateOptions options;
  options.allow_invalid_serial_numbers = true;
  bssl::CertErrors errors;
  return bssl::ParsedCertificate::Create(std::move(buffer), options, &errors);
}

class OneRoot : public bssl::TrustStore {
 public:
  explicit OneRoot(Certificate root) : root_(std::move(root)) {}

  void SyncGetIssuersOf(const bssl::ParsedCertificate *certificate, bssl::ParsedCertificateList *issuers) override {
    if (root_ && root_->tbs().subject_tlv == certificate->tbs().issuer_tlv) issuers->push_back(root_);
  }

  bssl::CertificateTrust GetTrust(const bssl::ParsedCertificate *certificate) override {
    if (!root_ || certificate->der_cert() != root_->der_cert()) return bssl::CertificateTrust::ForUnspecified();
    return bssl::CertificateTrust::ForTrustAnchor().WithEnforceAnchorExpiry().WithEnforceAnchorConstraints();
  }

  std::shared_ptr<const bssl::MTCAnchor> GetTrustedMTCIssuerOf(const bssl::ParsedCertificate *) override { return nullptr; }

 private:
  Certificate root_;
};

// In the order in which they were sent, as Chromium's standard library keeps them.
class Others : public bssl::CertIssuerSource {
 public:
  void SyncGetIssuersOf(const bssl::ParsedCertificate *certificate, bssl::ParsedCertificateList *issuers) override {
    for (const Certificate &one : all) {
      if (one->normalized_subject() == certificate->normalized_issuer()) issuers->push_back(one);
    }
  }

  void AsyncGetIssuersOf(const bssl::ParsedCertificate *, std::unique_ptr<Request> *) override {}

  std::vector<Certificate> all;
};

std::string Judge(const std::vector<std::string> &files) {
  OneRoot roots(Read(files[0]));
  Certificate leaf = Read(files[1]);
  if (!leaf) return "unreadable";
  Others others;
  for (size_t n = 2; n < files.size(); n++) {
    if (Certificate other = Read(files[n])) others.all.push_back(other);
  }
  bssl::SimplePathBuilderDelegate delegate(1024, bssl::SimplePathBuilderDelegate::DigestPolicy::kStrong);
  bssl::der::GeneralizedTime now;
  bssl::der::EncodePosixTimeAsGeneralizedTime(time(nullptr), &now);
  bssl::CertPathBuilder builder(leaf, &roots, &delegate, now, bssl::KeyPurpose::SERVER_AUTH,
                                bssl::InitialExplicitPolicy::kFalse, {bssl::der::Input(bssl::kAnyPolicyOid)},
                                bssl::InitialPolicyMappingInhibit::kFalse, bssl::InitialAnyPolicyInhibit::kFalse);
  builder.AddCertIssuerSource(&others);
  builder.SetIterationLimit(2000);
  bssl::CertPathBuilder::Result result = builder.Run();
  if (result.HasValidPath()) return "valid";
  const bssl::CertPathBuilderResultPath *best = result.GetBestPathPossiblyInvalid();
  std::string why = best ? best->errors.ToDebugString(best->certs) : "";
  std::string line = "invalid";
  std::istringstream lines(why);
  for (std::string text; std::getline(lines, text);) {
    if (text.rfind("ERROR: ", 0) == 0) line += " [" + text.substr(7) + "]";
  }
  // The browser looks at the kinds of all signatures, whether they were verified or not; the last one may be a root's.
  for (size_t n = 0; best && n + 1 < best->certs.size(); n++) {
    const bssl::ParsedCertificate &one = *best->certs[n];
    if (!one.signature_algorithm() || !bssl::ParseSignatureAlgorithm(one.tbs().signature_algorithm_tlv)) {
      line += " [Unacceptable signature algorithm]";
    }
  }
  return line;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string id;
    words >> id;
    std::vector<std::string> files{std::istream_iterator<std::string>(words), {}};
    std::cout << id << ' ' << Judge(files) << '\n';
  }
}

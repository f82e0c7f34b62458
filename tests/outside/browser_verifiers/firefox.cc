// Firefox's certificate verifier on chains from files. For each line "ID ROOT LEAF OTHER..." of standard input one line
// "ID PAGE": the name of the error page for https://127.0.0.1/, or "null".
//
// The library is mozilla::pkix; here is what the browser does around it: NSS decodes the server's certificate and each issuer that is tried (and of an
// error it cannot tell if it cannot decode the others), a root
// that nobody trusts is no issuer, a leaf that is a trusted root needs no issuer, a self-signed certificate has a page of its
// own, each use of the key is tried, and a promised answer of a responder must come.
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <vector>

#include "cert.h"
#include "mozpkix/pkix.h"
#include "mozpkix/pkixcheck.h"
#include "mozpkix/pkixnss.h"
#include "mozpkix/pkixutil.h"
#include "nss.h"

using namespace mozilla::pkix;

// What the library exports of CERT_DecodeDERCertificate.
extern "C" CERTCertificate *__CERT_DecodeDERCertificate(SECItem *der, PRBool copy, char *nickname);

namespace {

std::string Slurp(const std::string &file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

Input View(const std::string &bytes) {
  Input input;
  (void)input.Init(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
  return input;
}

bool Decodes(const std::string &der) {
  SECItem item{siBuffer, reinterpret_cast<unsigned char *>(const_cast<char *>(der.data())),
               static_cast<unsigned>(der.size())};
  CERTCertificate *certificate = __CERT_DecodeDERCertificate(&item, PR_TRUE, nullptr);
  if (certificate) CERT_DestroyCertificate(certificate);
  return certificate != nullptr;
}

class Browser : public TrustDomain {
 public:
  // What NSS cannot decode does not get into its trust store.
  Browser(const std::string &root, std::vector<std::string> others)
      : root_(root), has_root_(Decodes(root)), others_(std::move(others)) {}

  Result GetCertTrust(EndEntityOrCA, const CertPolicyId &, Input certificate, TrustLevel &level) override {
    level = has_root_ && InputsAreEqual(certificate, View(root_)) ? TrustLevel::TrustAnchor : TrustLevel::InheritsTrust;
    return Success;
  }

  Result FindIssuer(Input name, IssuerChecker &checker, Time) override {
    bool go_on = true;
    if (has_root_ && Names(root_, name)) {
      Result result = checker.Check(View(root_), nullptr, go_on);
      if (result != Success) return result;
    }
    for (const std::string &other : others_) {
      if (!go_on) break;
      if ((has_root_ && other == root_) || !Names(other, name) || IsSelfSigned(other)) continue;
      if (!Decodes(other)) return Result::FATAL_ERROR_LIBRARY_FAILURE;
      Result result = checker.Check(View(other), nullptr, go_on);
      if (result != Success) return result;
    }
    return Success;
  }

  bool IsSelfSigned(const std::string &der) {
    BackCert certificate(View(der), EndEntityOrCA::MustBeEndEntity, nullptr);
    return certificate.Init() == Success && InputsAreEqual(certificate.GetIssuer(), certificate.GetSubject()) &&
           VerifySignedData(*this, certificate.GetSignedData(), certificate.GetSubjectPublicKeyInfo()) == Success;
  }

  Result IsChainValid(const DERArray &, Time, const CertPolicyId &) override { return Success; }
  Result CheckRevocation(EndEntityOrCA who, const CertID &, Time, Duration, const Input *, const Input *access,
                         const Input *) override {
    if (who == EndEntityOrCA::MustBeCA || !access) return Success;
    PLArenaPool *arena = PORT_NewArena(1024);
    SECItem item = UnsafeMapInputToSECItem(*access);
    bool can_be_read = CERT_DecodeAuthInfoAccessExtension(arena, &item) != nullptr;
    PORT_FreeArena(arena, PR_FALSE);
    return can_be_read ? Success : Result::ERROR_CERT_BAD_ACCESS_LOCATION;
  }
  Result CheckSignatureDigestAlgorithm(DigestAlgorithm digest, EndEntityOrCA, Time) override {
    return digest == DigestAlgorithm::sha1 ? Result::ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED : Success;
  }
  Result CheckRSAPublicKeyModulusSizeInBits(EndEntityOrCA, unsigned int bits) override {
    return bits < 1024 ? Result::ERROR_INADEQUATE_KEY_SIZE : Success;
  }
  Result VerifyRSAPKCS1SignedData(Input data, DigestAlgorithm digest, Input signature, Input key) override {
    return Once(data, signature, key, [&] { return VerifyRSAPKCS1SignedDataNSS(data, digest, signature, key, nullptr); });
  }
  Result VerifyRSAPSSSignedData(Input data, DigestAlgorithm digest, Input signature, Input key) override {
    return Once(data, signature, key, [&] { return VerifyRSAPSSSignedDataNSS(data, digest, signature, key, nullptr); });
  }
  Result VerifyECDSASignedData(Input data, DigestAlgorithm digest, Input signature, Input key) override {
    return Once(data, signature, key, [&] { return VerifyECDSASignedDataNSS(data, digest, signature, key, nullptr); });
  }
  Result CheckECDSACurveIsAcceptable(EndEntityOrCA, NamedCurve) override { return Success; }
  Result CheckValidityIsAcceptable(Time, Time, EndEntityOrCA, KeyPurposeId) override { return Success; }
  Result NetscapeStepUpMatchesServerAuth(Time, bool &matches) override {
    matches = false;
    return Success;
  }
  void NoteAuxiliaryExtension(AuxiliaryExtension, Input) override {}
  Result DigestBuf(Input item, DigestAlgorithm digest, uint8_t *out, size_t length) override {
    return DigestBufNSS(item, digest, out, length);
  }

 private:
  // A certificate that NSS has by this name. One that pkix cannot read is asked about all the same if it is the root: what was
  // sent was read once before.
  bool Names(const std::string &der, Input name) {
    BackCert certificate(View(der), EndEntityOrCA::MustBeCA, nullptr);
    if (certificate.Init() == Success) return InputsAreEqual(certificate.GetSubject(), name);
    if (&der != &root_) return false;
    SECItem item{siBuffer, reinterpret_cast<unsigned char *>(const_cast<char *>(der.data())),
                 static_cast<unsigned>(der.size())};
    CERTCertificate *decoded = __CERT_DecodeDERCertificate(&item, PR_TRUE, nullptr);
    if (!decoded) return false;
    SECItem wanted = UnsafeMapInputToSECItem(name);
    bool is_it = SECITEM_ItemsAreEqual(&decoded->derSubject, &wanted);
    CERT_DestroyCertificate(decoded);
    return is_it;
  }

  // The same question is asked for each use of the key.
  template <typename Ask>
  Result Once(Input data, Input signature, Input key, Ask ask) {
    auto text = [](Input input) {
      SECItem item = UnsafeMapInputToSECItem(input);
      return std::string(reinterpret_cast<char *>(item.data), item.len);
    };
    auto [known, is_new] = answers_.try_emplace(text(data) + text(signature) + text(key), Success);
    if (is_new) known->second = ask();
    return known->second;
  }

  const std::string &root_;
  const bool has_root_;
  std::vector<std::string> others_;
  std::map<std::string, Result> answers_;
};

std::string Page(Result result) {
  switch (result) {
#define MOZILLA_PKIX_MAP(name, value, page) \
  case Result::name:                        \
    return result == Success ? "null" : #page;
    MOZILLA_PKIX_MAP_LIST
#undef MOZILLA_PKIX_MAP
  }
  return "unknown";
}

Result Judge(Browser &browser, const std::string &leaf) {
  Result result = Success;
  auto build = [&](KeyUsage usage) {
    return BuildCertChain(browser, View(leaf), Now(), EndEntityOrCA::MustBeEndEntity, usage, KeyPurposeId::id_kp_serverAuth,
                          CertPolicyId::anyPolicy, nullptr);
  };
  result = build(KeyUsage::digitalSignature);
  if (result == Result::ERROR_INADEQUATE_KEY_USAGE) result = build(KeyUsage::keyEncipherment);
  if (result == Result::ERROR_INADEQUATE_KEY_USAGE && build(KeyUsage::keyAgreement) == Success) result = Success;
  const bool may_be_self_signed = result == Result::ERROR_UNKNOWN_ISSUER || result == Result::ERROR_BAD_SIGNATURE ||
                                  result == Result::ERROR_INADEQUATE_KEY_USAGE;
  if (may_be_self_signed && browser.IsSelfSigned(leaf)) return Result::ERROR_SELF_SIGNED_CERT;
  static const uint8_t kHost[] = {'1', '2', '7', '.', '0', '.', '0', '.', '1'};
  const bool has_name = CheckCertHostname(View(leaf), Input(kHost)) == Success;
  if (result == Success) {
    Input input = View(leaf);
    result = CheckTLSFeaturesAreSatisfied(input, nullptr);
  } else if (result != Result::ERROR_EXPIRED_CERTIFICATE && result != Result::ERROR_NOT_YET_VALID_CERTIFICATE) {
    return result;
  }
  const bool may_be_name = result == Success || result == Result::ERROR_EXPIRED_CERTIFICATE ||
                           result == Result::ERROR_NOT_YET_VALID_CERTIFICATE;
  return may_be_name && !has_name ? Result::ERROR_BAD_CERT_DOMAIN : result;
}

}  // namespace

int main() {
  NSS_NoDB_Init(nullptr);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string id, root, leaf, other;
    words >> id >> root >> leaf;
    root = Slurp(root);
    leaf = Slurp(leaf);
    std::vector<std::string> others;
    bool others_decode = true;
    while (words >> other) {
      others.push_back(Slurp(other));
      others_decode = others_decode && Decodes(others.back());
    }
    Browser browser(root, others);
    Result result = Decodes(leaf) ? Judge(browser, leaf) : Result::FATAL_ERROR_LIBRARY_FAILURE;
    const bool is_explained = result == Success || result == Result::FATAL_ERROR_LIBRARY_FAILURE || others_decode;
    std::cout << id << ' ' << (is_explained ? Page(result) : "nssBadCert") << '\n';
  }
}

import numpy as np
import pytest
from scipy import sparse

from tests.domains import draw_domain
from tftransfer.adaptation.reading import read_domains


def test_a_problem_and_what_leads_to_it_are_read():
    source, labels = draw_domain(60, 0)
    domains = read_domains(source, labels, source[:30] + 1, 3)
    assert domains.problem.seed == 3 and domains.problem.num_classes == 3
    np.testing.assert_array_equal(domains.reduction(source), domains.problem.source)
    assert domains.notes == []


def test_the_key_belongs_to_the_target_rows_alone():
    source, labels = draw_domain(60, 0)
    target = source[:30] + 1
    key = read_domains(source, labels, target, 0).data_key
    assert read_domains(source * 2, labels, target.tolist(), 1).data_key == key
    assert read_domains(source, labels, target[::-1], 0).data_key != key
    dense = read_domains(sparse.csr_array(source), labels, sparse.csr_array(target), 0)
    assert len(dense.data_key) == 16 and dense.data_key != key


def test_labels_of_the_target_are_told_to_be_dropped():
    source, labels = draw_domain(60, 0)
    domains = read_domains(source, labels, (source[:30], labels[:30]), 0)
    assert domains.notes == ["labels came with the target: dropped unread"]


def test_one_domain_may_be_sparse():
    source, labels = draw_domain(60, 0)
    domains = read_domains(sparse.csr_array(source), labels, source[:30], 0)
    np.testing.assert_array_equal(domains.problem.target, source[:30])


def test_bad_data_are_refused():
    source, labels = draw_domain(60, 0)
    with pytest.raises(ValueError, match=r"target_features\.shape=\(30, 3\)"):
        read_domains(source, labels, source[:30, :3], 0)
